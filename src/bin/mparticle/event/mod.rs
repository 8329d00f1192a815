//! `mparticle event`: one event from arguments, for a quick try.

mod families;
mod values;

use std::time::Duration;

use clap::{Args, Subcommand};
use mparticle::contract;
use mparticle::diagnostics::Severity;
use mparticle::{AppState, Batch, Environment, FirstRun, IdentityType, Retry, RetryPolicy, SealedBatch, Uninstall};
use serde_json::json;

use crate::connect::{self, Connection};
use crate::exit::{self, Exit, Failure};
use crate::text::{self, printable, tell};

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
    event: Kind,
}

#[derive(Subcommand)]
enum Kind {
    /// Something of your own, under a name that you choose
    Custom(With<families::Custom>),
    /// A screen or page was seen
    Screen(With<families::Screen>),
    /// The application ran for the first time after it was installed
    Install(With<families::Plain>),
    /// The application ran for the first time in a new version
    Upgrade(With<families::Plain>),
    /// The application came to the foreground
    Foreground(With<families::Plain>),
    /// The application went to the background
    Background(With<families::Plain>),
    /// The application was left
    Exit(With<families::Plain>),
    /// The application ran for the first time
    FirstRun(With<families::Plain>),
    /// The application was removed
    Uninstall(With<families::Plain>),
    /// A session began
    SessionStart(With<families::SessionStart>),
    /// A session ended
    SessionEnd(With<families::SessionEnd>),
    /// Products were bought
    Purchase(With<families::Purchase>),
    /// The user opted out of tracking, or in again
    OptOut(With<families::OptOut>),
    /// What the user answered under the GDPR or the CCPA; no event
    Consent(With<families::Consent>),
    /// What is known of the user; no event
    Attribute(With<families::Attribute>),
}

/// An event of a family, and what all of them have in common.
#[derive(Args)]
struct With<Family: Args> {
    #[command(flatten)]
    family: Family,
    #[command(flatten)]
    sending: Sending,
    #[command(flatten)]
    user: User,
    #[command(flatten)]
    connection: Connection,
}

/// Whose event it is.
#[derive(Args)]
#[command(next_help_heading = "The user")]
struct User {
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
    #[arg(long = "identity", value_name = "TYPE=ID", value_parser = values::identity)]
    identities: Vec<(IdentityType, String)>,

    /// What is known of the user: text, or JSON after := as in age:=42; may be given several times
    #[arg(long = "user-attr", value_name = "NAME=TEXT", value_parser = values::user_attribute)]
    known: Vec<values::UserAttribute>,
}

impl User {
    fn batch(self, environment: Environment) -> Batch {
        let mut batch = Batch::new(environment).user_attributes(self.known);
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
struct Sending {
    /// Whose data it is: the service keeps the two apart
    #[arg(long, default_value = "development", value_parser = connect::environment())]
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
        Kind::Custom(with) => with.run(families::Custom::add_to),
        Kind::Screen(with) => with.run(families::Screen::add_to),
        Kind::Install(with) => with.run(|plain, batch| plain.app_state(batch, AppState::install())),
        Kind::Upgrade(with) => with.run(|plain, batch| plain.app_state(batch, AppState::upgrade())),
        Kind::Foreground(with) => with.run(|plain, batch| plain.app_state(batch, AppState::foreground())),
        Kind::Background(with) => with.run(|plain, batch| plain.app_state(batch, AppState::background())),
        Kind::Exit(with) => with.run(|plain, batch| plain.app_state(batch, AppState::exit())),
        Kind::FirstRun(with) => with.run(|plain, batch| plain.first_run(batch, FirstRun::new())),
        Kind::Uninstall(with) => with.run(|plain, batch| plain.uninstall(batch, Uninstall::new())),
        Kind::SessionStart(with) => with.run(families::SessionStart::add_to),
        Kind::SessionEnd(with) => with.run(families::SessionEnd::add_to),
        Kind::Purchase(with) => with.run(families::Purchase::add_to),
        Kind::OptOut(with) => with.run(families::OptOut::add_to),
        Kind::Consent(with) => with.run(families::Consent::add_to),
        Kind::Attribute(with) => with.run(families::Attribute::add_to),
    }
}

impl<Family: Args> With<Family> {
    fn run(self, add: impl FnOnce(Family, Batch) -> Batch) -> exit::Result {
        let Self { family, sending, user, connection } = self;
        let batch = add(family, user.batch(sending.environment)).seal()?;
        let right = check(&batch)?;
        if sending.dry_run
            && let Err(error) = text::line(batch.json())
        {
            return Failure::output(&error);
        }
        match (right, sending.dry_run) {
            (false, _) => Ok(Exit::Findings),
            (true, true) => Ok(Exit::Done),
            (true, false) => send(batch, &connection, sending.json),
        }
    }
}

/// Tells what is wrong with it; whether it can be sent.
fn check(batch: &SealedBatch) -> exit::Result<bool> {
    let body = serde_json::from_slice(batch.json()).map_err(|_| Failure::usage("the batch has no JSON form"))?;
    let mut right = true;
    for violation in contract::check_batch(&body) {
        right &= violation.severity != Severity::Error;
        tell(format_args!("{}: {}", violation.severity.name(), printable(&violation.to_string())));
    }
    Ok(right)
}

/// Someone waits at the terminal.
const PATIENCE: Duration = Duration::from_secs(30);

fn send(batch: SealedBatch, connection: &Connection, json: bool) -> exit::Result {
    let retry = RetryPolicy::new().request_timeout(PATIENCE);
    let on_retry = |retry: &Retry<'_>| {
        tell(format_args!("{}; trying again in {}", exit::reason_words(retry.error()), text::wait(retry.wait())));
    };
    let client = connection.client_builder()?.retry_policy(retry).on_retry(on_retry).build()?;
    let id = batch.source_request_id().to_owned();
    let accepted = connect::wait_for(client.upload(batch))?.map_err(|error| {
        exit::tell_said(&error);
        Failure::unsent(error, client.base_url())
    })?;
    let used = accepted.rate_limit_used_percent();
    if json {
        let told =
            json!({ "source_request_id": id, "status": accepted.status().as_u16(), "rate_limit_used_percent": used });
        return exit::written(text::line(told.to_string()));
    }
    let used = used.map_or_else(String::new, |used| format!(", {used} % of the rate limit used"));
    tell(format_args!("accepted: batch {id}{used}"));
    Ok(Exit::Done)
}
