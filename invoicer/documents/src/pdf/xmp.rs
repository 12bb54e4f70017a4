//! The file says in its metadata that an invoice is inside, as Factur-X and ZUGFeRD want it: a description of its own, and
//! the description of the words that it uses, which PDF/A wants.
//!
//! The metadata stand uncompressed in an object of their own. What is put into them moves all that stands behind: the
//! stream's length and the places in the cross-reference table are written anew.

use crate::Error;

const EXTENSION: &str = r#"<rdf:li rdf:parseType="Resource"><pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema><pdfaSchema:namespaceURI>urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#</pdfaSchema:namespaceURI><pdfaSchema:prefix>fx</pdfaSchema:prefix><pdfaSchema:property><rdf:Seq>PROPERTIES</rdf:Seq></pdfaSchema:property></rdf:li>"#;

const PROPERTY: &str = r#"<rdf:li rdf:parseType="Resource"><pdfaProperty:name>NAME</pdfaProperty:name><pdfaProperty:valueType>Text</pdfaProperty:valueType><pdfaProperty:category>external</pdfaProperty:category><pdfaProperty:description>MEANING</pdfaProperty:description></rdf:li>"#;

const SCHEMAS: &str = r#"<rdf:Description rdf:about="" xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/" xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#" xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#"><pdfaExtension:schemas><rdf:Bag>EXTENSION</rdf:Bag></pdfaExtension:schemas></rdf:Description>"#;

const DECLARATION: &str = r#"<rdf:Description rdf:about="" xmlns:fx="urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"><fx:DocumentType>INVOICE</fx:DocumentType><fx:DocumentFileName>FILE</fx:DocumentFileName><fx:Version>1.0</fx:Version><fx:ConformanceLevel>EN 16931</fx:ConformanceLevel></rdf:Description>"#;

const WORDS: [(&str, &str); 4] = [
    ("DocumentFileName", "The name of the embedded XML document"),
    ("DocumentType", "The type of the hybrid document in capital letters, e.g. INVOICE"),
    ("Version", "The actual version of the standard applying to the embedded XML document"),
    ("ConformanceLevel", "The conformance level of the embedded XML document"),
];

/// Says that `name` is the invoice inside.
pub(super) fn declare(pdf: Vec<u8>, name: &str) -> Result<Vec<u8>, Error> {
    let broken = |what: &str| Error::Pdf(format!("the file's {what} is not where it is looked for"));
    let properties: String =
        WORDS.iter().map(|(name, meaning)| PROPERTY.replace("NAME", name).replace("MEANING", meaning)).collect();
    let extension = EXTENSION.replace("PROPERTIES", &properties);
    let declaration = DECLARATION.replace("FILE", name);
    let mut pdf = Patch::new(pdf).ok_or_else(|| broken("metadata"))?;
    let known = pdf.find(b"</rdf:Bag></pdfaExtension:schemas>");
    match known {
        Some(at) => pdf.insert(at, extension.as_bytes()),
        None => {
            let end = pdf.find(b"</rdf:RDF>").ok_or_else(|| broken("metadata"))?;
            pdf.insert(end, SCHEMAS.replace("EXTENSION", &extension).as_bytes());
        }
    }
    let end = pdf.find(b"</rdf:RDF>").ok_or_else(|| broken("metadata"))?;
    pdf.insert(end, declaration.as_bytes());
    pdf.finish().ok_or_else(|| broken("cross-reference table"))
}

/// A file whose metadata change.
struct Patch {
    pdf: Vec<u8>,
    /// Where their object begins.
    object: usize,
    /// Where they themselves begin and end.
    start: usize,
    end: usize,
    /// How long they were.
    length: usize,
}

impl Patch {
    fn new(pdf: Vec<u8>) -> Option<Self> {
        let start = find(&pdf, b"<?xpacket begin", 0)?;
        let end = find(&pdf, b"\nendstream", start)?;
        let object = rfind(pdf.get(..start)?, b" 0 obj")?;
        let (_, length) = number(&pdf, find(&pdf, b"/Length ", object)? + 8)?;
        (start + length == end).then_some(Self { pdf, object, start, end, length })
    }

    fn find(&self, what: &[u8]) -> Option<usize> {
        find(&self.pdf, what, self.start).filter(|at| *at < self.end)
    }

    fn insert(&mut self, at: usize, bytes: &[u8]) {
        self.pdf.splice(at..at, bytes.iter().copied());
        self.end += bytes.len();
    }

    /// Puts the length and the table right.
    fn finish(mut self) -> Option<Vec<u8>> {
        let at = find(&self.pdf, b"/Length ", self.object)? + 8;
        let (digits, _) = number(&self.pdf, at)?;
        let length = self.end - self.start;
        let text = length.to_string();
        self.pdf.splice(at..at + digits, text.bytes());
        let moved = (length + text.len()).checked_sub(self.length + digits)?;
        let table = rfind(&self.pdf, b"\nxref\n")? + 1;
        self.move_table(table, moved)?;
        Some(self.pdf)
    }

    fn move_table(&mut self, table: usize, moved: usize) -> Option<()> {
        let (digits, _) = number(&self.pdf, table + 5)?;
        let (count_digits, count) = number(&self.pdf, table + 6 + digits)?;
        let first = table + 7 + digits + count_digits;
        for entry in 0..count {
            let at = first + entry * 20;
            let (_, place) = number(&self.pdf, at)?;
            if place > self.object {
                let text = format!("{:010}", place + moved);
                self.pdf.get_mut(at..at + 10)?.copy_from_slice(text.as_bytes());
            }
        }
        let at = rfind(&self.pdf, b"startxref")? + 10;
        let (digits, _) = number(&self.pdf, at)?;
        self.pdf.splice(at..at + digits, table.to_string().bytes());
        Some(())
    }
}

/// The digits at a place: how many there are, and what they say.
fn number(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let digits = bytes.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = std::str::from_utf8(bytes.get(at..at + digits)?).ok()?;
    Some((digits, text.parse().ok()?))
}

fn find(bytes: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let found = bytes.get(from..)?.windows(what.len()).position(|window| window == what)?;
    Some(from + found)
}

fn rfind(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).rposition(|window| window == what)
}
