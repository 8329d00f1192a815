//! `mparticle event`: sends one event built from arguments.

mod kinds;
mod values;

use std::time::Duration;

use clap::{Args, Subcommand};
use mparticle::contract;
use mparticle::diagnostics::Severity;
use mparticle::{AppState, Batch, Environment, FirstRun, IdentityType, Retry, RetryPolicy, SealedBatch, Uninstall};
use serde_json::json;

use crate::connect::{self, Connection};
use crate::exit::{self, CliError, ExitStatus};
use crate::text::{self, eprint_line, printable};

const EXAMPLES: &str = "\
Examples:
  mparticle event custom \"Added Note\" --type user_content --email a@example.com --attr length:=512
  mparticle event purchase --product TEA-12,Assam,12.99,2 --total 30.13 --currency EUR --customer-id 123456
  mparticle event attribute plan=pro seats:=5 --customer-id 123456
  mparticle event consent --gdpr analytics=granted --customer-id 123456
  mparticle event screen Home --mpid 42 --dry-run | mparticle send -";

const DETAILS: &str = "\
The key and the secret come from the environment (MPARTICLE_API_KEY, MPARTICLE_API_SECRET) or from a profile.
An event that violates the API's document is reported and not sent.";

/// Build and send one event from arguments
#[derive(Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{DETAILS}"))]
#[command(arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    event: EventCommand,
}

#[derive(Subcommand)]
enum EventCommand {
    /// Report a custom event with a name of your choice
    Custom(EventArguments<kinds::CustomArguments>),
    /// Report a view of a screen or page
    Screen(EventArguments<kinds::ScreenArguments>),
    /// Report the first start after installation of the application
    Install(EventArguments<kinds::PlainArguments>),
    /// Report the first start of a new version of the application
    Upgrade(EventArguments<kinds::PlainArguments>),
    /// Report that the application moved to the foreground
    Foreground(EventArguments<kinds::PlainArguments>),
    /// Report that the application moved to the background
    Background(EventArguments<kinds::PlainArguments>),
    /// Report that the application exited
    Exit(EventArguments<kinds::PlainArguments>),
    /// Report the first run of the application
    FirstRun(EventArguments<kinds::PlainArguments>),
    /// Report that the application was uninstalled
    Uninstall(EventArguments<kinds::PlainArguments>),
    /// Report the start of a session
    SessionStart(EventArguments<kinds::SessionStartArguments>),
    /// Report the end of a session
    SessionEnd(EventArguments<kinds::SessionEndArguments>),
    /// Report a purchase of products
    Purchase(EventArguments<kinds::PurchaseArguments>),
    /// Report that the user opted out of tracking, or in again
    OptOut(EventArguments<kinds::OptOutArguments>),
    /// Set consent under the GDPR or the CCPA, without an event
    Consent(EventArguments<kinds::ConsentArguments>),
    /// Set or delete user attributes, without an event
    Attribute(EventArguments<kinds::AttributeArguments>),
}

/// The arguments of an event kind, and the arguments that all kinds have in common.
#[derive(Args)]
struct EventArguments<Kind: Args> {
    #[command(flatten)]
    kind: Kind,
    #[command(flatten)]
    options: SendOptions,
    #[command(flatten)]
    user: UserArguments,
    #[command(flatten)]
    connection: Connection,
}

/// The user of the event.
#[derive(Args)]
#[command(next_help_heading = "User")]
struct UserArguments {
    /// Your ID of the user
    #[arg(long, value_name = "ID", value_parser = values::parse_text)]
    customer_id: Option<String>,

    /// E-mail address of the user
    #[arg(long, value_name = "ADDRESS", value_parser = values::parse_text)]
    email: Option<String>,

    /// mParticle ID of the user
    #[arg(long, value_name = "NUMBER", value_parser = values::parse_mpid, allow_negative_numbers = true)]
    mpid: Option<i64>,

    /// Another identity, for example google=1234; can be repeated
    #[arg(long = "identity", value_name = "TYPE=ID", value_parser = values::parse_identity)]
    identities: Vec<(IdentityType, String)>,

    /// User attribute: text, or JSON after :=, for example age:=42; can be repeated
    #[arg(long = "user-attr", value_name = "NAME=TEXT", value_parser = values::parse_user_attribute)]
    user_attributes: Vec<values::UserAttribute>,
}

impl UserArguments {
    fn batch(self, environment: Environment) -> exit::Result<Batch> {
        values::check_distinct("--user-attr", self.user_attributes.iter().map(|(name, _)| name.as_str()))?;
        let named = [(&self.customer_id, IdentityType::CustomerId), (&self.email, IdentityType::Email)];
        let named = named.into_iter().filter(|(id, _)| id.is_some()).map(|(_, identity_type)| identity_type);
        let all: Vec<_> = named
            .chain(self.identities.iter().map(|(identity_type, _)| *identity_type))
            .map(|of| of.to_string())
            .collect();
        values::check_distinct("an identity", all.iter().map(String::as_str))?;
        let mut batch = Batch::new(environment).user_attributes(self.user_attributes);
        if let Some(id) = self.customer_id {
            batch = batch.customer_id(id);
        }
        if let Some(address) = self.email {
            batch = batch.email(address);
        }
        if let Some(mpid) = self.mpid {
            batch = batch.mpid(mpid);
        }
        Ok(self.identities.into_iter().fold(batch, |batch, (identity_type, id)| batch.identity(identity_type, id)))
    }
}

/// Options about sending and output.
#[derive(Args)]
struct SendOptions {
    /// Environment of the data, which the service keeps separate
    #[arg(long, default_value = "development", value_parser = connect::environment_parser())]
    environment: Environment,

    /// Print the JSON of the batch without sending it
    #[arg(long)]
    dry_run: bool,

    /// Print the result as a JSON object
    #[arg(long)]
    json: bool,
}

/// Builds, checks and sends the batch.
pub fn run(arguments: Arguments) -> exit::Result {
    match arguments.event {
        EventCommand::Custom(arguments) => arguments.run(kinds::CustomArguments::add_to),
        EventCommand::Screen(arguments) => arguments.run(kinds::ScreenArguments::add_to),
        EventCommand::Install(arguments) => arguments.run(|plain, batch| plain.app_state(batch, AppState::install())),
        EventCommand::Upgrade(arguments) => arguments.run(|plain, batch| plain.app_state(batch, AppState::upgrade())),
        EventCommand::Foreground(arguments) => {
            arguments.run(|plain, batch| plain.app_state(batch, AppState::foreground()))
        }
        EventCommand::Background(arguments) => {
            arguments.run(|plain, batch| plain.app_state(batch, AppState::background()))
        }
        EventCommand::Exit(arguments) => arguments.run(|plain, batch| plain.app_state(batch, AppState::exit())),
        EventCommand::FirstRun(arguments) => arguments.run(|plain, batch| plain.first_run(batch, FirstRun::new())),
        EventCommand::Uninstall(arguments) => arguments.run(|plain, batch| plain.uninstall(batch, Uninstall::new())),
        EventCommand::SessionStart(arguments) => arguments.run(kinds::SessionStartArguments::add_to),
        EventCommand::SessionEnd(arguments) => arguments.run(kinds::SessionEndArguments::add_to),
        EventCommand::Purchase(arguments) => arguments.run(kinds::PurchaseArguments::add_to),
        EventCommand::OptOut(arguments) => arguments.run(kinds::OptOutArguments::add_to),
        EventCommand::Consent(arguments) => arguments.run(kinds::ConsentArguments::add_to),
        EventCommand::Attribute(arguments) => arguments.run(kinds::AttributeArguments::add_to),
    }
}

impl<Kind: Args> EventArguments<Kind> {
    fn run(self, add: impl FnOnce(Kind, Batch) -> exit::Result<Batch>) -> exit::Result {
        let Self { kind, options, user, connection } = self;
        let batch = add(kind, user.batch(options.environment)?)?.seal()?;
        let is_valid = check(&batch)?;
        if options.dry_run {
            exit::from_write(text::print_line(batch.json()))?;
        }
        match (is_valid, options.dry_run) {
            (false, _) => Ok(ExitStatus::DataError),
            (true, true) => Ok(ExitStatus::Success),
            (true, false) => send(batch, &connection, options.json),
        }
    }
}

/// Prints the violations of a batch, and returns whether it can be sent.
fn check(batch: &SealedBatch) -> exit::Result<bool> {
    let body = serde_json::from_slice(batch.json()).map_err(|_| CliError::usage("the batch has no JSON form"))?;
    let mut is_valid = true;
    for violation in contract::check_batch(&body) {
        is_valid &= violation.severity != Severity::Error;
        eprint_line(format_args!("{}: {}", violation.severity.name(), printable(&violation.to_string())));
    }
    Ok(is_valid)
}

/// The timeout of the upload, short since a user waits at the terminal.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(30);

fn send(batch: SealedBatch, connection: &Connection, json: bool) -> exit::Result {
    let retry = RetryPolicy::new().request_timeout(UPLOAD_TIMEOUT);
    let on_retry = |retry: &Retry<'_>| {
        eprint_line(format_args!(
            "{}; trying again in {}",
            exit::reason(retry.error()),
            text::format_wait(retry.wait())
        ));
    };
    let client = connect::build(connection.client_builder()?.retry_policy(retry).on_retry(on_retry))?;
    let id = batch.source_request_id().to_owned();
    let accepted = connect::block_on(client.upload(batch))?.map_err(|error| {
        exit::print_service_messages(&error);
        CliError::upload(error, client.base_url())
    })?;
    let used = accepted.rate_limit_used_percent();
    if json {
        let result =
            json!({ "source_request_id": id, "status": accepted.status().as_u16(), "rate_limit_used_percent": used });
        exit::from_write(text::print_line(result.to_string()))?;
        return Ok(ExitStatus::Success);
    }
    let used = used.map_or_else(String::new, |used| format!(", {used} % of the rate limit used"));
    eprint_line(format_args!("accepted: batch {id}{used}"));
    Ok(ExitStatus::Success)
}
