//! The customer's language: words, numbers, dates.

mod phrases;

use jiff::civil::Date;
use pricing::bill::DocumentKind as Kind;

/// What documents are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English; also for every language that is not here.
    #[default]
    English,
    /// German.
    German,
    /// French.
    French,
}

/// All that is printed and not the catalog's own text.
#[derive(Debug)]
#[allow(missing_docs)] // each is its English text
pub struct Words {
    pub code: &'static str,
    pub invoice: &'static str,
    pub credit_note: &'static str,
    pub draft: &'static str,
    pub draft_note: &'static str,
    pub test: &'static str,
    pub test_note: &'static str,
    pub number: &'static str,
    pub issue_date: &'static str,
    pub period: &'static str,
    pub due_date: &'static str,
    pub customer: &'static str,
    pub reference: &'static str,
    pub corrects: &'static str,
    pub bill_to: &'static str,
    pub vat_id: &'static str,
    pub description: &'static str,
    pub quantity: &'static str,
    pub each: &'static str,
    pub amount: &'static str,
    pub vat: &'static str,
    pub carried: &'static str,
    pub brought: &'static str,
    pub net: &'static str,
    pub on: &'static str,
    pub total: &'static str,
    pub prepaid: &'static str,
    pub due: &'static str,
    pub credited: &'static str,
    pub tax_in: &'static str,
    pub at_rate: &'static str,
    pub payment: &'static str,
    pub account_holder: &'static str,
    pub payment_reference: &'static str,
    pub page: &'static str,
    pub of: &'static str,
    pub subscription: &'static str,
    pub reverse_charge: &'static str,
    pub export: &'static str,
    pub outside: &'static str,
    pub exempt: &'static str,
    pub phone: &'static str,
    pub registration: &'static str,
    pub credit: &'static str,
    pub used: &'static str,
    pub left: &'static str,
    pub nothing_due: &'static str,
    payable_until: &'static str,
    payable_now: &'static str,
    credited_note: &'static str,
    /// Before the decimals, between groups of three.
    separators: (char, &'static str),
}

static ENGLISH: Words = Words {
    code: "en",
    invoice: "Invoice",
    credit_note: "Credit note",
    draft: "Draft",
    draft_note: "This is a draft, not an invoice: nothing is due yet.",
    test: "TEST",
    test_note: "This document comes from a test system: nothing is due.",
    number: "Number",
    issue_date: "Date",
    period: "Period",
    due_date: "Due",
    customer: "Customer",
    reference: "Your reference",
    corrects: "Corrects",
    bill_to: "Bill to",
    vat_id: "VAT ID",
    description: "Description",
    quantity: "Quantity",
    each: "Price",
    amount: "Amount",
    vat: "VAT",
    carried: "Carried forward",
    brought: "Brought forward",
    net: "Net",
    on: "on",
    total: "Total",
    prepaid: "Prepaid",
    due: "Amount due",
    credited: "Amount credited",
    tax_in: "VAT in",
    at_rate: "at",
    payment: "Payment",
    account_holder: "Account holder",
    payment_reference: "Reference",
    page: "Page",
    of: "of",
    subscription: "Subscription",
    reverse_charge: "Reverse charge",
    export: "Export outside the EU",
    outside: "Not subject to VAT",
    exempt: "Exempt from VAT",
    phone: "Phone",
    registration: "Register",
    credit: "Credit",
    used: "used",
    left: "left",
    nothing_due: "Nothing is left to pay.",
    payable_until: "Payable until",
    payable_now: "Payable on receipt.",
    credited_note: "This amount is credited to you.",
    separators: ('.', ","),
};

static GERMAN: Words = Words {
    code: "de",
    invoice: "Rechnung",
    credit_note: "Rechnungskorrektur",
    draft: "Entwurf",
    draft_note: "Dies ist ein Entwurf und keine Rechnung: Noch ist nichts zu zahlen.",
    test: "TEST",
    test_note: "Dieses Dokument stammt aus einem Testsystem: Es ist nichts zu zahlen.",
    number: "Nummer",
    issue_date: "Datum",
    period: "Zeitraum",
    due_date: "Fällig am",
    customer: "Kunde",
    reference: "Ihre Referenz",
    corrects: "Korrigiert",
    bill_to: "Rechnung an",
    vat_id: "USt-IdNr.",
    description: "Beschreibung",
    quantity: "Menge",
    each: "Preis",
    amount: "Betrag",
    vat: "USt.",
    carried: "Übertrag",
    brought: "Übertrag",
    net: "Nettobetrag",
    on: "auf",
    total: "Gesamtbetrag",
    prepaid: "Vorausbezahlt",
    due: "Zu zahlen",
    credited: "Gutgeschrieben",
    tax_in: "USt. in",
    at_rate: "zum Kurs",
    payment: "Zahlung",
    account_holder: "Kontoinhaber",
    payment_reference: "Verwendungszweck",
    page: "Seite",
    of: "von",
    subscription: "Abonnement",
    reverse_charge: "Steuerschuldnerschaft des Leistungsempfängers",
    export: "Leistung außerhalb der EU",
    outside: "Nicht steuerbar",
    exempt: "Steuerfrei",
    phone: "Telefon",
    registration: "Register",
    credit: "Guthaben",
    used: "verbraucht",
    left: "übrig",
    nothing_due: "Es ist nichts mehr zu zahlen.",
    payable_until: "Zahlbar bis",
    payable_now: "Zahlbar sofort.",
    credited_note: "Dieser Betrag wird Ihnen gutgeschrieben.",
    separators: (',', "."),
};

static FRENCH: Words = Words {
    code: "fr",
    invoice: "Facture",
    credit_note: "Avoir",
    draft: "Projet",
    draft_note: "Ceci est un projet et non une facture : rien n’est encore dû.",
    test: "TEST",
    test_note: "Ce document provient d’un système de test : rien n’est dû.",
    number: "Numéro",
    issue_date: "Date",
    period: "Période",
    due_date: "Échéance",
    customer: "Client",
    reference: "Votre référence",
    corrects: "Corrige",
    bill_to: "Facturé à",
    vat_id: "N° TVA",
    description: "Désignation",
    quantity: "Quantité",
    each: "Prix",
    amount: "Montant",
    vat: "TVA",
    carried: "À reporter",
    brought: "Report",
    net: "Total HT",
    on: "sur",
    total: "Total TTC",
    prepaid: "Déjà payé",
    due: "Net à payer",
    credited: "Montant crédité",
    tax_in: "TVA en",
    at_rate: "au taux de",
    payment: "Paiement",
    account_holder: "Titulaire",
    payment_reference: "Référence",
    page: "Page",
    of: "sur",
    subscription: "Abonnement",
    reverse_charge: "Autoliquidation",
    export: "Exportation hors UE",
    outside: "Hors champ de la TVA",
    exempt: "Exonéré de TVA",
    phone: "Téléphone",
    registration: "Registre",
    credit: "Crédit",
    used: "utilisés",
    left: "restants",
    nothing_due: "Il ne reste rien à payer.",
    payable_until: "Payable jusqu’au",
    payable_now: "Payable à réception.",
    credited_note: "Ce montant vous est crédité.",
    separators: (',', "\u{202f}"),
};

// === impl Language ===

impl Language {
    /// Of a tag such as `de` or `de-AT`.
    pub fn of(tag: Option<&str>) -> Self {
        let tag = tag.unwrap_or_default().to_ascii_lowercase();
        match tag.split(['-', '_']).next() {
            Some("de") => Self::German,
            Some("fr") => Self::French,
            _ => Self::English,
        }
    }

    /// Its words.
    pub fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::German => &GERMAN,
            Self::French => &FRENCH,
        }
    }

    /// A plain decimal as people write it: `-1234.5` as `−1.234,5`.
    pub fn number(self, plain: &str) -> String {
        let (decimal, group) = self.words().separators;
        let (sign, digits) = plain.strip_prefix('-').map_or(("", plain), |digits| ("\u{2212}", digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let mut text = sign.to_owned();
        for (at, digit) in whole.chars().enumerate() {
            if at > 0 && (whole.len() - at).is_multiple_of(3) {
                text.push_str(group);
            }
            text.push(digit);
        }
        if !fraction.is_empty() {
            text.push(decimal);
            text.push_str(fraction);
        }
        text
    }

    /// A day.
    pub fn date(self, date: Date) -> String {
        let (year, month, day) = (date.year(), date.month(), date.day());
        match self {
            Self::English => {
                let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
                let month = usize::try_from(month).ok().and_then(|month| months.get(month.checked_sub(1)?));
                format!("{day} {} {year}", month.copied().unwrap_or_default())
            }
            Self::German => format!("{day:02}.{month:02}.{year}"),
            Self::French => format!("{day:02}/{month:02}/{year}"),
        }
    }

    /// First and last day.
    pub fn days(self, (first, last): (Date, Date)) -> String {
        if first == last { self.date(first) } else { format!("{} – {}", self.date(first), self.date(last)) }
    }

    /// What a line says, in the customer's words.
    pub fn description(self, english: &str) -> String {
        phrases::translate(self, english)
    }

    /// A rate as a percentage: `19 %`.
    pub fn percent(self, plain: &str) -> String {
        let number = self.number(plain.trim_end_matches('%'));
        match self {
            Self::English => format!("{number}%"),
            Self::German | Self::French => format!("{number}\u{a0}%"),
        }
    }

    /// Until when something is to be paid, as a sentence.
    pub fn terms(self, kind: Kind, due: Option<Date>) -> String {
        let words = self.words();
        match (kind, due) {
            (Kind::CreditNote, _) => words.credited_note.to_owned(),
            (Kind::Invoice, Some(due)) => format!("{} {}.", words.payable_until, self.date(due)),
            (Kind::Invoice, None) => words.payable_now.to_owned(),
        }
    }
}
