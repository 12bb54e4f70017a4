//! UBL 2.1, in the order of its schema.

use crate::einvoice::{Allowance, Category, Document, Item, Party, Tax};
use crate::invoice::Kind;
use crate::xml::Xml;
use pricing::number::Minor;

/// What an invoice and a credit note call their parts.
struct Names {
    root: &'static str,
    namespace: &'static str,
    type_code: (&'static str, &'static str),
    line: &'static str,
    quantity: &'static str,
}

const INVOICE: Names = Names {
    root: "Invoice",
    namespace: "urn:oasis:names:specification:ubl:schema:xsd:Invoice-2",
    type_code: ("cbc:InvoiceTypeCode", "380"),
    line: "cac:InvoiceLine",
    quantity: "cbc:InvoicedQuantity",
};

const CREDIT_NOTE: Names = Names {
    root: "CreditNote",
    namespace: "urn:oasis:names:specification:ubl:schema:xsd:CreditNote-2",
    type_code: ("cbc:CreditNoteTypeCode", "381"),
    line: "cac:CreditNoteLine",
    quantity: "cbc:CreditedQuantity",
};

pub(crate) fn write(document: &Document<'_>) -> Vec<u8> {
    let names = if document.kind == Kind::Invoice { &INVOICE } else { &CREDIT_NOTE };
    let namespaces = [
        ("xmlns", names.namespace),
        ("xmlns:cac", "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"),
        ("xmlns:cbc", "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"),
    ];
    let mut xml = Xml::new();
    xml.element_with(names.root, &namespaces, |xml| {
        head(document, names, xml);
        xml.element("cac:AccountingSupplierParty", |xml| party(&document.seller, xml));
        xml.element("cac:AccountingCustomerParty", |xml| party(&document.buyer, xml));
        payment(document, xml);
        for allowance in &document.allowances {
            self::allowance(document, allowance, xml);
        }
        taxes(document, xml);
        totals(document, xml);
        for (number, item) in (1u32..).zip(&document.items) {
            self::item(document, names, number, item, xml);
        }
    });
    xml.finish()
}

fn head(document: &Document<'_>, names: &Names, xml: &mut Xml) {
    xml.text("cbc:CustomizationID", document.customization.identifier());
    xml.option("cbc:ProfileID", document.customization.process());
    xml.text("cbc:ID", document.number);
    xml.text("cbc:IssueDate", document.issue_date.to_string());
    if document.kind == Kind::Invoice {
        xml.option("cbc:DueDate", document.due_date.map(|date| date.to_string()));
    }
    xml.text(names.type_code.0, names.type_code.1);
    xml.option("cbc:Note", document.note.as_deref());
    xml.text("cbc:DocumentCurrencyCode", document.currency.code());
    xml.option("cbc:TaxCurrencyCode", document.tax_currency.as_ref().map(|(currency, _)| currency.code()));
    xml.option("cbc:BuyerReference", document.reference);
    if let Some((first, last)) = document.days {
        period(first, last, xml);
    }
    if let Some((number, date)) = document.corrects {
        xml.element("cac:BillingReference", |xml| {
            xml.element("cac:InvoiceDocumentReference", |xml| {
                xml.text("cbc:ID", number);
                xml.text("cbc:IssueDate", date.to_string());
            });
        });
    }
}

fn period(first: jiff::civil::Date, last: jiff::civil::Date, xml: &mut Xml) {
    xml.element("cac:InvoicePeriod", |xml| {
        xml.text("cbc:StartDate", first.to_string());
        xml.text("cbc:EndDate", last.to_string());
    });
}

fn party(party: &Party<'_>, xml: &mut Xml) {
    xml.element("cac:Party", |xml| {
        if let Some((scheme, address)) = party.endpoint {
            xml.text_with("cbc:EndpointID", &[("schemeID", scheme)], address);
        }
        xml.element("cac:PostalAddress", |xml| {
            xml.option("cbc:StreetName", party.address.street.as_deref());
            xml.option("cbc:CityName", party.address.city.as_deref());
            xml.option("cbc:PostalZone", party.address.postcode.as_deref());
            xml.element("cac:Country", |xml| xml.option("cbc:IdentificationCode", party.address.country.as_deref()));
        });
        if let Some(vat_id) = party.vat_id {
            xml.element("cac:PartyTaxScheme", |xml| {
                xml.text("cbc:CompanyID", vat_id);
                vat(xml);
            });
        }
        xml.element("cac:PartyLegalEntity", |xml| {
            xml.text("cbc:RegistrationName", party.name);
            xml.option("cbc:CompanyID", party.registration);
        });
        if let Some(contact) = party.contact {
            xml.element("cac:Contact", |xml| {
                xml.option("cbc:Name", contact.name.as_deref());
                xml.option("cbc:Telephone", contact.phone.as_deref());
                xml.option("cbc:ElectronicMail", contact.email.as_deref());
            });
        }
    });
}

fn vat(xml: &mut Xml) {
    xml.element("cac:TaxScheme", |xml| xml.text("cbc:ID", "VAT"));
}

fn payment(document: &Document<'_>, xml: &mut Xml) {
    if let (Some(iban), Some((_, bic))) = (document.iban(), document.account) {
        xml.element("cac:PaymentMeans", |xml| {
            xml.text("cbc:PaymentMeansCode", document.payment_means());
            if document.kind == Kind::Invoice {
                xml.text("cbc:PaymentID", document.number);
                xml.element("cac:PayeeFinancialAccount", |xml| {
                    xml.text("cbc:ID", iban);
                    if let Some(bic) = bic {
                        xml.element("cac:FinancialInstitutionBranch", |xml| xml.text("cbc:ID", bic));
                    }
                });
            }
        });
    }
    xml.element("cac:PaymentTerms", |xml| xml.text("cbc:Note", document.terms()));
}

fn amount(document: &Document<'_>, name: &str, amount: Minor, xml: &mut Xml) {
    xml.text_with(name, &[("currencyID", document.currency.code())], document.money(amount));
}

fn category(name: &str, category: &Category<'_>, xml: &mut Xml) {
    xml.element(name, |xml| {
        xml.text("cbc:ID", category.code);
        xml.option("cbc:Percent", category.percent());
        vat(xml);
    });
}

fn allowance(document: &Document<'_>, allowance: &Allowance<'_>, xml: &mut Xml) {
    xml.element("cac:AllowanceCharge", |xml| {
        xml.text("cbc:ChargeIndicator", "false");
        xml.text("cbc:AllowanceChargeReasonCode", allowance.code);
        xml.text("cbc:AllowanceChargeReason", allowance.reason);
        amount(document, "cbc:Amount", allowance.amount, xml);
        category("cac:TaxCategory", &allowance.tax, xml);
    });
}

fn taxes(document: &Document<'_>, xml: &mut Xml) {
    xml.element("cac:TaxTotal", |xml| {
        amount(document, "cbc:TaxAmount", document.tax, xml);
        for tax in &document.taxes {
            subtotal(document, tax, xml);
        }
    });
    if let Some((currency, tax)) = &document.tax_currency {
        xml.element("cac:TaxTotal", |xml| {
            xml.text_with("cbc:TaxAmount", &[("currencyID", currency.code())], currency.text(*tax));
        });
    }
}

fn subtotal(document: &Document<'_>, tax: &Tax<'_>, xml: &mut Xml) {
    xml.element("cac:TaxSubtotal", |xml| {
        amount(document, "cbc:TaxableAmount", tax.net, xml);
        amount(document, "cbc:TaxAmount", tax.amount, xml);
        xml.element("cac:TaxCategory", |xml| {
            xml.text("cbc:ID", tax.category.code);
            xml.option("cbc:Percent", document.total_percent(&tax.category));
            if let Some((reason, code)) = tax.reason {
                xml.option("cbc:TaxExemptionReasonCode", code);
                xml.text("cbc:TaxExemptionReason", reason);
            }
            vat(xml);
        });
    });
}

fn totals(document: &Document<'_>, xml: &mut Xml) {
    xml.element("cac:LegalMonetaryTotal", |xml| {
        amount(document, "cbc:LineExtensionAmount", document.items_total, xml);
        amount(document, "cbc:TaxExclusiveAmount", document.net, xml);
        amount(document, "cbc:TaxInclusiveAmount", document.total, xml);
        if !document.allowances.is_empty() {
            amount(document, "cbc:AllowanceTotalAmount", document.allowances_total, xml);
        }
        if document.prepaid.0 != 0 {
            amount(document, "cbc:PrepaidAmount", document.prepaid, xml);
        }
        amount(document, "cbc:PayableAmount", document.due, xml);
    });
}

fn item(document: &Document<'_>, names: &Names, number: u32, item: &Item<'_>, xml: &mut Xml) {
    xml.element(names.line, |xml| {
        xml.text("cbc:ID", number.to_string());
        xml.text_with(names.quantity, &[("unitCode", item.unit)], item.quantity.to_string());
        amount(document, "cbc:LineExtensionAmount", item.amount, xml);
        if let Some((first, last)) = item.days {
            period(first, last, xml);
        }
        xml.element("cac:Item", |xml| {
            xml.text("cbc:Name", &item.name);
            category("cac:ClassifiedTaxCategory", &item.tax, xml);
        });
        xml.element("cac:Price", |xml| {
            xml.text_with("cbc:PriceAmount", &[("currencyID", document.currency.code())], item.each.to_string());
            if let Some(per) = item.per {
                xml.text_with("cbc:BaseQuantity", &[("unitCode", item.unit)], per.to_string());
            }
        });
    });
}
