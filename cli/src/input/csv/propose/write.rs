//! Writes a proposal as commented TOML.

use super::columns::{ColumnType, Misfits, SampledColumn};
use super::roles::{Proposal, PurchaseColumns};
use crate::input::csv::rows::Dialect;
use crate::input::csv::times::TimeFormat;

/// The column of a line at which its comment starts.
const COMMENT_COLUMN: usize = 50;

/// Returns the text of the map.
pub fn write_map(file: &str, dialect: Dialect, proposal: &Proposal, rows: usize) -> String {
    let mut map = MapWriter { text: String::new(), proposal };
    map.line(&format!("# A map for {file}, proposed from its header and {rows} of its rows. Check it, and then run"));
    map.line(&format!("#   mparticle send --dry-run --csv MAP {file}"));
    map.line("environment = \"development\"   # or production");
    map.file_format(dialect);
    map.user();
    map.event();
    map.left_out();
    map.text
}

struct MapWriter<'a> {
    text: String,
    proposal: &'a Proposal,
}

impl<'a> MapWriter<'a> {
    fn line(&mut self, line: &str) {
        self.text += line;
        self.text.push('\n');
    }

    fn column(&self, index: usize) -> &'a SampledColumn {
        &self.proposal.columns[index]
    }

    /// Writes a line with the examples of its column as a comment.
    fn field(&mut self, start: &str, value: &str, index: usize) {
        let examples = self.column(index).examples.join(", ");
        let line = format!("{start} = {value}");
        let width = COMMENT_COLUMN.max(line.chars().count() + 2);
        let comment = if examples.is_empty() { String::new() } else { format!("# {examples}") };
        let line = format!("{line:width$}{comment}");
        self.line(line.trim_end());
    }

    fn file_format(&mut self, dialect: Dialect) {
        let Dialect { delimiter, quote } = dialect;
        let has_comma = self.proposal.columns.iter().any(|column| column.kind == ColumnType::NumberWithComma);
        if dialect == Dialect::default() && !has_comma {
            return;
        }
        self.line("\n[csv]");
        if delimiter != b',' {
            self.line(&format!("delimiter = {}", quoted(&char::from(delimiter).to_string())));
        }
        if quote.is_none() {
            self.line("quote = \"\"   # quotes are ordinary characters: they do not enclose whole cells");
        }
        if has_comma {
            self.line("decimal = \",\"");
        }
    }

    fn user(&mut self) {
        let Proposal { identities, possible_identities, device, user_attributes, others, .. } = self.proposal;
        self.line("\n# The user: identity = column.");
        self.line("[identities]");
        if identities.is_empty() && device.is_empty() {
            self.line("# No column is an identity by its name. One of them must be:");
            self.line("# customer_id = \"COLUMN\"");
        }
        for (identity, index) in identities {
            let column = quoted(&self.column(*index).name);
            self.field(identity, &column, *index);
        }
        for (identity, index) in possible_identities {
            if self.column(*index).lost_digits {
                self.line("# These numbers lost digits: export the column as text before it identifies users.");
            }
            let column = quoted(&self.column(*index).name);
            self.field(&format!("# {identity}"), &column, *index);
        }
        if !device.is_empty() {
            self.line("\n[device]");
            for (field, index) in device {
                let column = quoted(&self.column(*index).name);
                self.field(field, &column, *index);
            }
        }
        let without_event = self.proposal.time.is_none();
        if !user_attributes.is_empty() || (without_event && !others.is_empty()) {
            self.line("\n[user_attributes]");
            for (name, index) in user_attributes {
                let column = quoted(&self.column(*index).name);
                self.field(&quoted(name), &column, *index);
            }
            if without_event {
                self.attributes();
            }
        }
    }

    fn event(&mut self) {
        let Proposal { time, event_name, message_id, purchase, others, .. } = self.proposal;
        let Some(time) = *time else {
            self.line("\n# No column is the time of an event: each row describes a user. An event would be");
            self.line("# [event]");
            self.line("# type = \"custom_event\"");
            self.line("# name = \"NAME\"");
            self.line("# custom_event_type = \"other\"");
            return;
        };
        self.line("\n# The event. A string is the same for all rows; { column = \"...\" } is read from each row.");
        self.line("[event]");
        if let Some(purchase) = purchase {
            self.purchase(purchase);
        } else {
            self.line("type = \"custom_event\"");
            if let Some(index) = event_name {
                let column = self.source(*index);
                self.field("name", &column, *index);
            } else {
                self.line("name = \"Imported\"   # the name of your event");
            }
            self.line("custom_event_type = \"other\"   # or transaction, navigation, user_content, ...");
        }
        self.time(time);
        if let Some(index) = message_id {
            let column = quoted(&self.column(*index).name);
            self.field("source_message_id", &column, *index);
        }
        if let Some(purchase) = purchase {
            self.product(purchase);
        }
        if !others.is_empty() {
            self.line("\n[event.attributes]");
            self.attributes();
        }
    }

    /// Writes how many cells are no numbers in a column that is read as numbers.
    fn not_numbers(&mut self, index: usize) {
        let column = self.column(index);
        self.misfits(&column.not_numbers, column.cells, "number");
    }

    fn misfits(&mut self, Misfits { count, example }: &Misfits, cells: usize, noun: &str) {
        match count {
            0 => {}
            1 => self.line(&format!("# One of {cells} cells is no {noun}: {example}. Its row is rejected.")),
            _ => self.line(&format!(
                "# {count} of {cells} cells are no {noun}, such as {example}. Their rows are rejected."
            )),
        }
    }

    fn source(&self, index: usize) -> String {
        format!("{{ column = {} }}", quoted(&self.column(index).name))
    }

    fn purchase(&mut self, purchase: &PurchaseColumns) {
        self.line("type = \"purchase\"");
        let fields = [
            ("transaction_id", Some(purchase.transaction)),
            ("total", purchase.total),
            ("currency_code", purchase.currency),
        ];
        for (name, index) in fields {
            if let Some(index) = index {
                if name == "total" {
                    self.not_numbers(index);
                }
                let column = self.source(index);
                self.field(name, &column, index);
            }
        }
        if purchase.currency.is_none() {
            self.line("# currency_code = \"EUR\"");
        }
    }

    fn product(&mut self, purchase: &PurchaseColumns) {
        self.line("\n[event.product]");
        // Each is required, and either can be empty in a row.
        let id = purchase.sku.or(purchase.product);
        let name = purchase.product.or(purchase.sku);
        for (field, index) in [("id", id), ("name", name), ("price", purchase.price), ("quantity", purchase.quantity)] {
            if let Some(index) = index {
                if ["price", "quantity"].contains(&field) {
                    self.not_numbers(index);
                }
                let column = self.source(index);
                self.field(field, &column, index);
            }
        }
    }

    fn time(&mut self, index: usize) {
        let column = self.column(index);
        let (name, formats) = (quoted(&column.name), column.time_formats.clone());
        let [format, others @ ..] = &formats[..] else { return };
        // Formats that differ in more than the order of day and month read the same time.
        if let Some(other) = others.iter().find(|other| is_swapped(format, other)) {
            self.line(&format!("# The day and the month may be the other way round: format = {}", quoted(other)));
        }
        self.misfits(&column.not_times, column.cells, "time of this format");
        if !format.ends_with("UTC") && TimeFormat::from_name(format).is_ok_and(|format| format.assumes_utc()) {
            self.line("# These times name no time zone, and are UTC unless zone names another, as in zone = \"Europe/Berlin\".");
        }
        self.field("time", &format!("{{ column = {name}, format = {} }}", quoted(format)), index);
    }

    /// Writes the columns without a role as attributes. In a purchase they may differ between the rows of one transaction.
    fn attributes(&mut self) {
        let is_purchase = self.proposal.purchase.is_some();
        if is_purchase {
            self.line("# An attribute must be the same in all rows of a transaction, or empty.");
        }
        for index in self.proposal.others.clone() {
            let column = self.column(index);
            let name = quoted(&column.name);
            let value = match column.kind {
                ColumnType::Number | ColumnType::NumberWithComma => format!("{{ column = {name}, type = \"number\" }}"),
                ColumnType::Boolean => format!("{{ column = {name}, type = \"boolean\" }}"),
                ColumnType::Text => name.clone(),
            };
            let comment = if is_purchase || column.is_empty { "# " } else { "" };
            self.not_numbers(index);
            self.field(&format!("{comment}{name}"), &value, index);
        }
    }

    fn left_out(&mut self) {
        let ambiguous = self.proposal.columns.iter().filter(|column| column.is_ambiguous && !column.name.is_empty());
        let mut names: Vec<_> = ambiguous.map(|column| quoted(&column.name)).collect();
        names.sort_unstable();
        names.dedup();
        if !names.is_empty() {
            let names = names.join(", ");
            self.line(&format!("\n# Several columns have the same name, and are left out: {names}"));
        }
    }
}

/// Returns whether two patterns differ only in the order of day and month.
fn is_swapped(format: &str, other: &str) -> bool {
    let swapped = format.replace("%d", "\0").replace("%m", "%d").replace('\0', "%m");
    format != other && swapped == other
}

/// Returns a string of TOML. Those of JSON are valid, except for DEL.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default().replace('\u{7f}', "\\u007f")
}
