//! `mparticle event`: one event from arguments, for a quick try.

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

const MORE: &str = "\
The key and the secret come from the environment (MPARTICLE_API_KEY, MPARTICLE_API_SECRET) or from a profile.
What breaks the document of the API is told, and not sent.";

/// Build and send one event from arguments
#[derive(Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{MORE}"))]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(subcommand)]
    event: EventCommand,
}

#[derive(Subcommand)]
enum EventCommand {
    /// Something of your own, under a name that you choose
    Custom(EventArguments<kinds::CustomArguments>),
    /// A screen or page was seen
    Screen(EventArguments<kinds::ScreenArguments>),
    /// The application ran for the first time after it was installed
    Install(EventArguments<kinds::PlainArguments>),
    /// The application ran for the first time in a new version
    Upgrade(EventArguments<kinds::PlainArguments>),
    /// The application came to the foreground
    Foreground(EventArguments<kinds::PlainArguments>),
    /// The application went to the background
    Background(EventArguments<kinds::PlainArguments>),
    /// The application was left
    ExitStatus(EventArguments<kinds::PlainArguments>),
    /// The application ran for the first time
    FirstRun(EventArguments<kinds::PlainArguments>),
    /// The application was removed
    Uninstall(EventArguments<kinds::PlainArguments>),
    /// A session began
    SessionStart(EventArguments<kinds::SessionStartArguments>),
    /// A session ended
    SessionEnd(EventArguments<kinds::SessionEndArguments>),
    /// Products were bought
    Purchase(EventArguments<kinds::PurchaseArguments>),
    /// The user opted out of tracking, or in again
    OptOut(EventArguments<kinds::OptOutArguments>),
    /// What the user answered under the GDPR or the CCPA; no event
    Consent(EventArguments<kinds::ConsentArguments>),
    /// What is known of the user; no event
    Attribute(EventArguments<kinds::AttributeArguments>),
}

/// An event of a family, and what all of them have in common.
#[derive(Args)]
struct EventArguments<Family: Args> {
    #[command(flatten)]
    family: Family,
    #[command(flatten)]
    sending: SendOptions,
    #[command(flatten)]
    user: UserArguments,
    #[command(flatten)]
    connection: Connection,
}

/// Whose event it is.
#[derive(Args)]
#[command(next_help_heading = "The user")]
struct UserArguments {
    /// Your own id of the user
    #[arg(long, value_name = "ID")]
    customer_id: Option<String>,

    /// E-mail address of the user
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,

    /// mParticle ID of the user
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    mpid: Option<i64>,

    /// Another identity, as google=1234; may be given several times
    #[arg(long = "identity", value_name = "TYPE=ID", value_parser = values::parse_identity)]
    identities: Vec<(IdentityType, String)>,

    /// What is known of the user: text, or JSON after := as in age:=42; may be given several times
    #[arg(long = "user-attr", value_name = "NAME=TEXT", value_parser = values::parse_user_attribute)]
    user_attributes: Vec<values::UserAttribute>,
}

impl UserArguments {
    fn batch(self, environment: Environment) -> Batch {
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
        self.identities.into_iter().fold(batch, |batch, (identity_type, id)| batch.identity(identity_type, id))
    }
}

/// What it counts as, and what is told of it.
#[derive(Args)]
struct SendOptions {
    /// Whose data it is: the service keeps the two apart
    #[arg(long, default_value = "development", value_parser = connect::environment_parser())]
    environment: Environment,

    /// Print the JSON of the batch, and send nothing
    #[arg(long)]
    dry_run: bool,

    /// Print what became of it as a JSON object
    #[arg(long)]
    json: bool,
}

/// Builds the batch, checks it, and sends it.
pub fn run(arguments: Arguments) -> exit::Result {
    match arguments.event {
        EventCommand::Custom(with) => with.run(kinds::CustomArguments::add_to),
        EventCommand::Screen(with) => with.run(kinds::ScreenArguments::add_to),
        EventCommand::Install(with) => with.run(|plain, batch| plain.app_state(batch, AppState::install())),
        EventCommand::Upgrade(with) => with.run(|plain, batch| plain.app_state(batch, AppState::upgrade())),
        EventCommand::Foreground(with) => with.run(|plain, batch| plain.app_state(batch, AppState::foreground())),
        EventCommand::Background(with) => with.run(|plain, batch| plain.app_state(batch, AppState::background())),
        EventCommand::ExitStatus(with) => with.run(|plain, batch| plain.app_state(batch, AppState::exit())),
        EventCommand::FirstRun(with) => with.run(|plain, batch| plain.first_run(batch, FirstRun::new())),
        EventCommand::Uninstall(with) => with.run(|plain, batch| plain.uninstall(batch, Uninstall::new())),
        EventCommand::SessionStart(with) => with.run(kinds::SessionStartArguments::add_to),
        EventCommand::SessionEnd(with) => with.run(kinds::SessionEndArguments::add_to),
        EventCommand::Purchase(with) => with.run(kinds::PurchaseArguments::add_to),
        EventCommand::OptOut(with) => with.run(kinds::OptOutArguments::add_to),
        EventCommand::Consent(with) => with.run(kinds::ConsentArguments::add_to),
        EventCommand::Attribute(with) => with.run(kinds::AttributeArguments::add_to),
    }
}

impl<Family: Args> EventArguments<Family> {
    fn run(self, add: impl FnOnce(Family, Batch) -> Batch) -> exit::Result {
        let Self { family, sending, user, connection } = self;
        let batch = add(family, user.batch(sending.environment)).seal()?;
        let is_valid = check(&batch)?;
        if sending.dry_run
            && let Err(error) = text::print_line(batch.json())
        {
            return CliError::stdout(&error);
        }
        match (is_valid, sending.dry_run) {
            (false, _) => Ok(ExitStatus::DataError),
            (true, true) => Ok(ExitStatus::Success),
            (true, false) => send(batch, &connection, sending.json),
        }
    }
}

/// Tells what is wrong with it; whether it can be sent.
fn check(batch: &SealedBatch) -> exit::Result<bool> {
    let body = serde_json::from_slice(batch.json()).map_err(|_| CliError::usage("the batch has no JSON form"))?;
    let mut is_valid = true;
    for violation in contract::check_batch(&body) {
        is_valid &= violation.severity != Severity::Error;
        eprint_line(format_args!("{}: {}", violation.severity.name(), printable(&violation.to_string())));
    }
    Ok(is_valid)
}

/// Someone waits at the terminal.
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
    let client = connection.client_builder()?.retry_policy(retry).on_retry(on_retry).build()?;
    let id = batch.source_request_id().to_owned();
    let accepted = connect::block_on(client.upload(batch))?.map_err(|error| {
        exit::print_service_messages(&error);
        CliError::upload(error, client.base_url())
    })?;
    let used = accepted.rate_limit_used_percent();
    if json {
        let told =
            json!({ "source_request_id": id, "status": accepted.status().as_u16(), "rate_limit_used_percent": used });
        return exit::from_write(text::print_line(told.to_string()));
    }
    let used = used.map_or_else(String::new, |used| format!(", {used} % of the rate limit used"));
    eprint_line(format_args!("accepted: batch {id}{used}"));
    Ok(ExitStatus::Success)
}
