//! UN/CEFACT Cross Industry Invoice (D16B), in the order of its schema: the invoice inside a PDF (Factur-X, ZUGFeRD).

use crate::einvoice::{Category, Document, Item, Party};
use crate::invoice::Kind;
use crate::xml::Xml;
use jiff::civil::Date;

const NAMESPACES: [(&str, &str); 4] = [
    ("xmlns:rsm", "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"),
    ("xmlns:ram", "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100"),
    ("xmlns:udt", "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100"),
    ("xmlns:qdt", "urn:un:unece:uncefact:data:standard:QualifiedDataType:100"),
];

pub(crate) fn write(document: &Document<'_>) -> Vec<u8> {
    let mut xml = Xml::new();
    xml.element_with("rsm:CrossIndustryInvoice", &NAMESPACES, |xml| {
        head(document, xml);
        xml.element("rsm:SupplyChainTradeTransaction", |xml| {
            for (number, item) in (1u32..).zip(&document.items) {
                self::item(document, number, item, xml);
            }
            xml.element("ram:ApplicableHeaderTradeAgreement", |xml| {
                xml.option("ram:BuyerReference", document.reference);
                xml.element("ram:SellerTradeParty", |xml| party(&document.seller, xml));
                xml.element("ram:BuyerTradeParty", |xml| party(&document.buyer, xml));
            });
            xml.element("ram:ApplicableHeaderTradeDelivery", |_| ());
            xml.element("ram:ApplicableHeaderTradeSettlement", |xml| settlement(document, xml));
        });
    });
    xml.finish()
}

fn head(document: &Document<'_>, xml: &mut Xml) {
    xml.element("rsm:ExchangedDocumentContext", |xml| {
        if let Some(process) = document.customization.process() {
            let name = "ram:BusinessProcessSpecifiedDocumentContextParameter";
            xml.element(name, |xml| xml.text("ram:ID", process));
        }
        let name = "ram:GuidelineSpecifiedDocumentContextParameter";
        xml.element(name, |xml| xml.text("ram:ID", document.customization.identifier()));
    });
    xml.element("rsm:ExchangedDocument", |xml| {
        xml.text("ram:ID", document.number);
        xml.text("ram:TypeCode", if document.kind == Kind::Invoice { "380" } else { "381" });
        date("ram:IssueDateTime", document.issue_date, xml);
        if let Some(note) = &document.note {
            xml.element("ram:IncludedNote", |xml| xml.text("ram:Content", note));
        }
    });
}

fn date(name: &str, date: Date, xml: &mut Xml) {
    xml.element(name, |xml| xml.text_with("udt:DateTimeString", &[("format", "102")], basic(date)));
}

/// As `20260131`.
fn basic(date: Date) -> String {
    date.to_string().replace('-', "")
}

fn period((first, last): (Date, Date), xml: &mut Xml) {
    xml.element("ram:BillingSpecifiedPeriod", |xml| {
        date("ram:StartDateTime", first, xml);
        date("ram:EndDateTime", last, xml);
    });
}

fn item(document: &Document<'_>, number: u32, item: &Item<'_>, xml: &mut Xml) {
    xml.element("ram:IncludedSupplyChainTradeLineItem", |xml| {
        xml.element("ram:AssociatedDocumentLineDocument", |xml| xml.text("ram:LineID", number.to_string()));
        xml.element("ram:SpecifiedTradeProduct", |xml| xml.text("ram:Name", &item.name));
        xml.element("ram:SpecifiedLineTradeAgreement", |xml| {
            xml.element("ram:NetPriceProductTradePrice", |xml| {
                xml.text("ram:ChargeAmount", item.each.to_string());
                if let Some(per) = item.per {
                    xml.text_with("ram:BasisQuantity", &[("unitCode", item.unit)], per.to_string());
                }
            });
        });
        xml.element("ram:SpecifiedLineTradeDelivery", |xml| {
            xml.text_with("ram:BilledQuantity", &[("unitCode", item.unit)], item.quantity.to_string());
        });
        xml.element("ram:SpecifiedLineTradeSettlement", |xml| {
            xml.element("ram:ApplicableTradeTax", |xml| category(&item.tax, xml));
            if let Some(days) = item.days {
                period(days, xml);
            }
            xml.element("ram:SpecifiedTradeSettlementLineMonetarySummation", |xml| {
                xml.text("ram:LineTotalAmount", document.money(item.amount));
            });
        });
    });
}

fn category(category: &Category<'_>, xml: &mut Xml) {
    xml.text("ram:TypeCode", "VAT");
    xml.text("ram:CategoryCode", category.code);
    xml.option("ram:RateApplicablePercent", category.percent());
}

fn party(party: &Party<'_>, xml: &mut Xml) {
    xml.text("ram:Name", party.name);
    if let Some(registration) = party.registration {
        xml.element("ram:SpecifiedLegalOrganization", |xml| xml.text("ram:ID", registration));
    }
    if let Some(contact) = party.contact {
        xml.element("ram:DefinedTradeContact", |xml| {
            xml.option("ram:PersonName", contact.name.as_deref());
            if let Some(phone) = &contact.phone {
                xml.element("ram:TelephoneUniversalCommunication", |xml| xml.text("ram:CompleteNumber", phone));
            }
            if let Some(email) = &contact.email {
                xml.element("ram:EmailURIUniversalCommunication", |xml| xml.text("ram:URIID", email));
            }
        });
    }
    xml.element("ram:PostalTradeAddress", |xml| {
        xml.option("ram:PostcodeCode", party.address.postcode.as_deref());
        xml.option("ram:LineOne", party.address.street.as_deref());
        xml.option("ram:CityName", party.address.city.as_deref());
        xml.option("ram:CountryID", party.address.country.as_deref());
    });
    if let Some((scheme, address)) = party.endpoint {
        xml.element("ram:URIUniversalCommunication", |xml| {
            xml.text_with("ram:URIID", &[("schemeID", scheme)], address);
        });
    }
    if let Some(vat_id) = party.vat_id {
        xml.element("ram:SpecifiedTaxRegistration", |xml| xml.text_with("ram:ID", &[("schemeID", "VA")], vat_id));
    }
}

fn settlement(document: &Document<'_>, xml: &mut Xml) {
    xml.text("ram:PaymentReference", document.number);
    xml.option("ram:TaxCurrencyCode", document.tax_currency.as_ref().map(|(currency, _)| currency.code()));
    xml.text("ram:InvoiceCurrencyCode", document.currency.code());
    payment_means(document, xml);
    for tax in &document.taxes {
        xml.element("ram:ApplicableTradeTax", |xml| {
            xml.text("ram:CalculatedAmount", document.money(tax.amount));
            xml.text("ram:TypeCode", "VAT");
            xml.option("ram:ExemptionReason", tax.reason.map(|(reason, _)| reason));
            xml.text("ram:BasisAmount", document.money(tax.net));
            xml.text("ram:CategoryCode", tax.category.code);
            xml.option("ram:ExemptionReasonCode", tax.reason.and_then(|(_, code)| code));
            xml.option("ram:RateApplicablePercent", document.total_percent(&tax.category));
        });
    }
    if let Some(days) = document.days {
        period(days, xml);
    }
    for allowance in &document.allowances {
        xml.element("ram:SpecifiedTradeAllowanceCharge", |xml| {
            xml.element("ram:ChargeIndicator", |xml| xml.text("udt:Indicator", "false"));
            xml.text("ram:ActualAmount", document.money(allowance.amount));
            xml.text("ram:ReasonCode", allowance.code);
            xml.text("ram:Reason", allowance.reason);
            xml.element("ram:CategoryTradeTax", |xml| category(&allowance.tax, xml));
        });
    }
    xml.element("ram:SpecifiedTradePaymentTerms", |xml| {
        xml.text("ram:Description", document.terms());
        if let Some(due) = document.due_date {
            date("ram:DueDateDateTime", due, xml);
        }
    });
    totals(document, xml);
    if let Some((number, issued)) = document.corrects {
        xml.element("ram:InvoiceReferencedDocument", |xml| {
            xml.text("ram:IssuerAssignedID", number);
            xml.element("ram:FormattedIssueDateTime", |xml| {
                xml.text_with("qdt:DateTimeString", &[("format", "102")], basic(*issued));
            });
        });
    }
}

fn payment_means(document: &Document<'_>, xml: &mut Xml) {
    let (Some(iban), Some((_, bic))) = (document.iban(), document.account) else { return };
    xml.element("ram:SpecifiedTradeSettlementPaymentMeans", |xml| {
        xml.text("ram:TypeCode", document.payment_means());
        if document.kind == Kind::Invoice {
            xml.element("ram:PayeePartyCreditorFinancialAccount", |xml| xml.text("ram:IBANID", iban));
            if let Some(bic) = bic {
                xml.element("ram:PayeeSpecifiedCreditorFinancialInstitution", |xml| xml.text("ram:BICID", bic));
            }
        }
    });
}

fn totals(document: &Document<'_>, xml: &mut Xml) {
    xml.element("ram:SpecifiedTradeSettlementHeaderMonetarySummation", |xml| {
        xml.text("ram:LineTotalAmount", document.money(document.items_total));
        if !document.allowances.is_empty() {
            xml.text("ram:AllowanceTotalAmount", document.money(document.allowances_total));
        }
        xml.text("ram:TaxBasisTotalAmount", document.money(document.net));
        let tax = document.money(document.tax);
        xml.text_with("ram:TaxTotalAmount", &[("currencyID", document.currency.code())], tax);
        if let Some((currency, tax)) = &document.tax_currency {
            xml.text_with("ram:TaxTotalAmount", &[("currencyID", currency.code())], currency.text(*tax));
        }
        xml.text("ram:GrandTotalAmount", document.money(document.total));
        if document.prepaid.0 != 0 {
            xml.text("ram:TotalPrepaidAmount", document.money(document.prepaid));
        }
        xml.text("ram:DuePayableAmount", document.money(document.due));
    });
}
