//! The fields that columns are proposed for, by their names and cells.

use super::columns::SampledColumn;

/// Names of columns, without anything but letters and digits, for each identity.
const IDENTITIES: [(&str, &[&str]); 4] = [
    (
        "customer_id",
        &[
            "customerid",
            "customer",
            "userid",
            "user",
            "uid",
            "clientid",
            "accountid",
            "memberid",
            "externalid",
            "customernumber",
            "kunde",
            "kundennummer",
            "kundennr",
            "kundenid",
        ],
    ),
    ("email", &["email", "mail", "emailaddress", "useremail", "customeremail", "mailadresse"]),
    ("mpid", &["mpid", "mparticleid"]),
    ("mp_deviceid", &["mpdeviceid"]),
];

/// An identity that a column may be, which is proposed as a comment: a number of another person, for example of the recipient, would
/// join two users.
const PHONES: [&str; 8] =
    ["phone", "mobile", "mobilenumber", "phonenumber", "telephone", "telefon", "billingphone", "customerphone"];

const DEVICE_IDS: [(&str, &[&str]); 4] = [
    ("ios_advertising_id", &["idfa", "iosadvertisingid"]),
    ("ios_idfv", &["idfv", "iosidfv"]),
    ("android_advertising_id", &["gaid", "aaid", "androidadvertisingid"]),
    ("android_uuid", &["androiduuid", "androidid"]),
];

const USER_ATTRIBUTES: [(&str, &[&str]); 9] = [
    ("$firstname", &["firstname", "givenname", "vorname"]),
    ("$lastname", &["lastname", "surname", "familyname", "nachname"]),
    ("$age", &["age"]),
    ("$gender", &["gender", "sex"]),
    ("$city", &["city", "town", "stadt", "ort"]),
    ("$zip", &["zip", "zipcode", "postcode", "postalcode", "plz"]),
    ("$state", &["state", "province"]),
    ("$country", &["country", "countrycode", "land"]),
    ("$mobile", &["mobilephone"]),
];

const TIMES: [&str; 18] = [
    "timestamp",
    "time",
    "at",
    "eventtime",
    "occurredat",
    "datetime",
    "createdat",
    "created",
    "date",
    "orderdate",
    "orderedat",
    "paidat",
    "zeit",
    "zeitpunkt",
    "datum",
    "ts",
    "timestampunixtimems",
    "eventtimestamp",
];
const EVENT_NAMES: [&str; 5] = ["event", "eventname", "action", "eventtype", "activity"];
const MESSAGE_IDS: [&str; 4] = ["eventid", "messageid", "sourcemessageid", "uuid"];
const TRANSACTIONS: [&str; 12] = [
    "transactionid",
    "orderid",
    "order",
    "ordernumber",
    "orderno",
    "ordername",
    "transaction",
    "invoice",
    "invoiceno",
    "bestellung",
    "bestellnummer",
    "bestellnr",
];
const SKUS: [&str; 8] =
    ["sku", "productid", "productsku", "lineitemsku", "itemid", "itemsku", "artikelnummer", "artikelnr"];
const PRODUCTS: [&str; 7] = ["product", "productname", "lineitemname", "itemname", "item", "artikel", "description"];
const PRICES: [&str; 6] = ["price", "unitprice", "lineitemprice", "productprice", "itemprice", "preis"];
const QUANTITIES: [&str; 5] = ["quantity", "qty", "lineitemquantity", "menge", "anzahl"];
const TOTALS: [&str; 7] = ["total", "ordertotal", "totalamount", "totalprice", "gesamt", "gesamtbetrag", "summe"];
const CURRENCIES: [&str; 4] = ["currency", "currencycode", "waehrung", "währung"];

/// The columns of a purchase, by index.
pub struct PurchaseColumns {
    pub transaction: usize,
    pub sku: Option<usize>,
    pub product: Option<usize>,
    pub price: Option<usize>,
    pub quantity: Option<usize>,
    pub total: Option<usize>,
    pub currency: Option<usize>,
}

/// The columns by their role, each as an index.
pub struct Proposal {
    pub columns: Vec<SampledColumn>,
    pub identities: Vec<(&'static str, usize)>,
    /// Identities that are proposed as comments.
    pub possible_identities: Vec<(&'static str, usize)>,
    pub device: Vec<(&'static str, usize)>,
    pub user_attributes: Vec<(&'static str, usize)>,
    pub time: Option<usize>,
    pub event_name: Option<usize>,
    pub message_id: Option<usize>,
    pub purchase: Option<PurchaseColumns>,
    /// The columns without a role.
    pub others: Vec<usize>,
}

impl Proposal {
    pub fn new(columns: Vec<SampledColumn>) -> Self {
        let mut used = vec![false; columns.len()];
        for (index, column) in columns.iter().enumerate() {
            used[index] = column.is_ambiguous;
        }
        let mut finder = Finder { columns: &columns, used };
        let is_number = |column: &SampledColumn| column.kind != super::columns::ColumnType::Text;

        let mut identities: Vec<_> = IDENTITIES
            .iter()
            .filter_map(|(identity, names)| Some((*identity, finder.take(names, |column| !column.lost_digits)?)))
            .collect();
        if !identities.iter().any(|(identity, _)| *identity == "email") {
            let mail = finder.take_first(|column| column.has_at_signs);
            identities.extend(mail.map(|index| ("email", index)));
        }
        let device =
            DEVICE_IDS.iter().filter_map(|(id, names)| Some((*id, finder.take(names, |column| column.are_uuids)?)));
        let device = device.collect();
        let user_attributes =
            USER_ATTRIBUTES.iter().filter_map(|(name, names)| Some((*name, finder.take(names, |_| true)?)));
        let user_attributes: Vec<_> = user_attributes.collect();
        let time = finder.take(&TIMES, |column| !column.time_formats.is_empty()).or_else(|| {
            finder.take_first(|column| column.time_formats.iter().any(|format| !format.ends_with("seconds")))
        });
        let event_name = finder.take(&EVENT_NAMES, |column| !is_number(column));
        let transaction =
            finder.find(&TRANSACTIONS, |_| true).or_else(|| finder.find_first(|column| column.has_hash_signs));
        let purchase = transaction.filter(|_| event_name.is_none()).and_then(|transaction| {
            finder.used[transaction] = true;
            let (sku, product) = (finder.take(&SKUS, |_| true), finder.take(&PRODUCTS, |_| true));
            if sku.or(product).is_none() {
                // Without a column for the product it is no purchase.
                finder.used[transaction] = false;
                return None;
            }
            Some(PurchaseColumns {
                transaction,
                sku,
                product,
                price: finder.take(&PRICES, is_number),
                quantity: finder.take(&QUANTITIES, is_number),
                total: finder.take(&TOTALS, is_number),
                currency: finder.take(&CURRENCIES, |_| true),
            })
        });
        let message_id = finder.take(&MESSAGE_IDS, |column| column.is_unique);
        let phone = finder.take(&PHONES, |_| true).map(|index| ("mobile_number", index));
        // In a table of users it is the user's, and in others that of a row.
        let id = finder.take(&["id"], |_| identities.iter().all(|(identity, _)| *identity != "customer_id"));
        let id = id.map(|index| ("customer_id", index));
        let lost = IDENTITIES.iter().filter_map(|(identity, names)| Some((*identity, finder.take(names, |_| true)?)));
        let possible_identities = lost.collect::<Vec<_>>().into_iter().chain(id).chain(phone).collect();
        let others = (0..columns.len()).filter(|index| !finder.used[*index]).collect();
        Self {
            columns,
            identities,
            possible_identities,
            device,
            user_attributes,
            time,
            event_name,
            message_id,
            purchase,
            others,
        }
    }
}

struct Finder<'a> {
    columns: &'a [SampledColumn],
    used: Vec<bool>,
}

impl Finder<'_> {
    /// Returns the first column without a role that has one of these names, the first names first.
    fn find(&self, names: &[&str], fits: impl Fn(&SampledColumn) -> bool) -> Option<usize> {
        names.iter().find_map(|name| self.find_first(|column| column.plain_name == *name && fits(column)))
    }

    fn find_first(&self, fits: impl Fn(&SampledColumn) -> bool) -> Option<usize> {
        (0..self.columns.len())
            .find(|index| !self.used[*index] && !self.columns[*index].is_empty && fits(&self.columns[*index]))
    }

    fn take(&mut self, names: &[&str], fits: impl Fn(&SampledColumn) -> bool) -> Option<usize> {
        self.find(names, fits).inspect(|index| self.used[*index] = true)
    }

    fn take_first(&mut self, fits: impl Fn(&SampledColumn) -> bool) -> Option<usize> {
        self.find_first(fits).inspect(|index| self.used[*index] = true)
    }
}
