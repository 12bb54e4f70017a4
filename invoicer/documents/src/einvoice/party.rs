//! Who sells and who buys, with all that the rules ask for.

use super::{Customization, Lack};
use crate::invoice::Invoice;
use pricing::catalog::entity::{Address, Contact};

/// A seller or a buyer.
#[derive(Debug)]
pub(crate) struct Party<'a> {
    pub(crate) name: &'a str,
    pub(crate) address: &'a Address,
    /// None in documents outside the scope of VAT (BR-O-02).
    pub(crate) vat_id: Option<&'a str>,
    pub(crate) registration: Option<&'a str>,
    pub(crate) contact: Option<&'a Contact>,
    /// Scheme and address.
    pub(crate) endpoint: Option<(&'a str, &'a str)>,
}

/// Codes of the EAS list for VAT numbers, by the country that they begin with.
const VAT_SCHEMES: [(&str, &str); 32] = [
    ("AD", "9922"),
    ("AL", "9923"),
    ("AT", "9914"),
    ("BA", "9924"),
    ("BE", "9925"),
    ("BG", "9926"),
    ("CH", "9927"),
    ("CY", "9928"),
    ("CZ", "9929"),
    ("DE", "9930"),
    ("EE", "9931"),
    ("EL", "9933"),
    ("ES", "9920"),
    ("FR", "9957"),
    ("GB", "9932"),
    ("HR", "9934"),
    ("HU", "9910"),
    ("IE", "9935"),
    ("IT", "0211"),
    ("LI", "9936"),
    ("LT", "9937"),
    ("LU", "9938"),
    ("LV", "9939"),
    ("MC", "9940"),
    ("MT", "9943"),
    ("NL", "9944"),
    ("PL", "9945"),
    ("PT", "9946"),
    ("RO", "9947"),
    ("RS", "9948"),
    ("SI", "9949"),
    ("SK", "9950"),
];

/// Both, with what they lack.
pub(crate) fn parties<'a>(
    invoice: &'a Invoice,
    customization: Customization,
    lacks: &mut Vec<Lack>,
) -> (Party<'a>, Party<'a>) {
    let outside = invoice.taxes.iter().any(|tax| tax.category == "O");
    let seller = seller(invoice, outside);
    let buyer = buyer(invoice, outside);
    let mut need = Need { lacks, of: "seller", key: "sellers" };
    need.common(&seller, ["BT-27", "BT-37", "BT-38", "BT-40"], false);
    if seller.vat_id.is_none() && !outside {
        need.lack("VAT number", "BT-31", "vat_id");
    }
    if seller.vat_id.is_none() && outside && seller.registration.is_none() {
        need.lack(
            "entry in the register of companies, since documents outside the scope of VAT name no VAT number",
            "BT-30",
            "registration",
        );
    }
    need.well_formed(seller.vat_id);
    let both_german = [&seller, &buyer].iter().all(|party| party.address.country.as_deref() == Some("DE"));
    let german = customization == Customization::Xrechnung || (customization == Customization::Peppol && both_german);
    if customization != Customization::En16931 && seller.endpoint.is_none() {
        need.lack("electronic address", "BT-34", "endpoint");
    }
    if german {
        need.german_seller(invoice, &seller);
    }
    let mut need = Need { lacks, of: "buyer", key: "customers" };
    need.common(&buyer, ["BT-44", "BT-52", "BT-53", "BT-55"], german);
    if invoice.taxes.iter().any(|tax| tax.category == "AE") && buyer.vat_id.is_none() {
        need.lack("VAT number, which reverse charge needs", "BT-48", "vat_id");
    }
    need.well_formed(buyer.vat_id);
    if customization != Customization::En16931 {
        if buyer.endpoint.is_none() || (customization == Customization::Peppol && is_mail(&buyer)) {
            need.lack("electronic address", "BT-49", "endpoint");
        }
        if invoice.buyer.reference.is_none() {
            need.lack("reference, such as its order or Leitweg-ID", "BT-10", "reference");
        }
    }
    (seller, buyer)
}

fn is_mail(party: &Party<'_>) -> bool {
    party.endpoint.is_some_and(|(scheme, _)| scheme == "EM")
}

fn seller(invoice: &Invoice, outside: bool) -> Party<'_> {
    static NOWHERE: Address = Address { street: None, city: None, postcode: None, country: None };
    let Some(seller) = &invoice.seller else {
        let (name, vat_id, registration, contact, endpoint) = ("", None, None, None, None);
        return Party { name, address: &NOWHERE, vat_id, registration, contact, endpoint };
    };
    let contact = Some(&seller.contact).filter(|contact| !contact.is_empty());
    let mail = contact.and_then(|contact| contact.email.as_deref());
    Party {
        name: seller.name.as_deref().unwrap_or_default(),
        address: &seller.address,
        vat_id: seller.vat_id.as_deref().filter(|_| !outside),
        registration: seller.registration.as_deref(),
        contact,
        endpoint: endpoint(seller.endpoint.as_deref(), seller.vat_id.as_deref(), mail),
    }
}

fn buyer(invoice: &Invoice, outside: bool) -> Party<'_> {
    let buyer = &invoice.buyer;
    Party {
        name: buyer.name.as_deref().unwrap_or_default(),
        address: &buyer.address,
        vat_id: buyer.vat_id.as_deref().filter(|_| !outside),
        registration: None,
        contact: None,
        endpoint: endpoint(buyer.endpoint.as_deref(), buyer.vat_id.as_deref(), buyer.email.as_deref()),
    }
}

/// What the catalog states, else the VAT number where it has a scheme, else the mail address.
fn endpoint<'a>(stated: Option<&'a str>, vat_id: Option<&'a str>, mail: Option<&'a str>) -> Option<(&'a str, &'a str)> {
    let by_vat = || {
        let vat_id = vat_id?;
        let scheme = VAT_SCHEMES.iter().find(|(country, _)| vat_id.starts_with(country));
        scheme.map(|(_, scheme)| (*scheme, vat_id))
    };
    stated.and_then(|stated| stated.split_once(':')).or_else(by_vat).or_else(|| Some(("EM", mail?)))
}

/// What one side lacks.
struct Need<'a> {
    lacks: &'a mut Vec<Lack>,
    of: &'static str,
    key: &'static str,
}

impl Need<'_> {
    fn lack(&mut self, what: &str, term: &'static str, key: &str) {
        let remedy = format!("write `{key}` of the {} in the catalog's {}", self.of, self.key);
        self.lacks.push(Lack { what: format!("the {}'s {what}", self.of), term, remedy });
    }

    /// Name and country; city and postal code where a country's rules want them.
    fn common(&mut self, party: &Party<'_>, [name, city, postcode, country]: [&'static str; 4], whole: bool) {
        if party.name.is_empty() {
            self.lack("name", name, "name");
        }
        if whole && party.address.city.is_none() {
            self.lack("city", city, "address: {city}");
        }
        if whole && party.address.postcode.is_none() {
            self.lack("postal code", postcode, "address: {postcode}");
        }
        if party.address.country.is_none() {
            self.lack("country", country, "address: {country}");
        }
    }

    /// BR-CO-09.
    fn well_formed(&mut self, vat_id: Option<&str>) {
        let begins = |id: &str| id.len() > 2 && id.bytes().take(2).all(|byte| byte.is_ascii_uppercase());
        if vat_id.is_some_and(|id| !begins(id)) {
            self.lack("VAT number with its country before it, such as DE123456789", "BR-CO-09", "vat_id");
        }
    }

    /// What XRechnung asks of sellers (BR-DE-1 to BR-DE-7, and Peppol's German rules).
    fn german_seller(&mut self, invoice: &Invoice, seller: &Party<'_>) {
        if seller.address.city.is_none() {
            self.lack("city", "BT-37", "address: {city}");
        }
        if seller.address.postcode.is_none() {
            self.lack("postal code", "BT-38", "address: {postcode}");
        }
        let contact = seller.contact.cloned().unwrap_or_default();
        for (there, what, term, key) in [
            (contact.name.is_some(), "contact", "BT-41", "contact: {name}"),
            (contact.phone.is_some(), "telephone number", "BT-42", "contact: {phone}"),
            (contact.email.is_some(), "mail address", "BT-43", "contact: {email}"),
            (invoice.seller.as_ref().is_some_and(|seller| seller.iban.is_some()), "account", "BT-84", "iban"),
        ] {
            if !there {
                self.lack(what, term, key);
            }
        }
    }
}
