//! A browser as small as tests need one: cookies, forms, answers as they came.

use std::process::Command;
use tests::{Stage, run, wait_until};

/// Somebody at a browser.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    pub(crate) url: String,
    /// The value of the session's cookie; empty before there is one.
    pub(crate) cookie: String,
    /// Further headers of every request.
    pub(crate) headers: Vec<String>,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Browser {
    /// Nobody yet.
    pub(crate) fn new(server: &Stage) -> Self {
        Self { url: server.url(), cookie: String::new(), headers: Vec::new() }
    }

    /// Somebody who signed in.
    #[track_caller]
    pub(crate) fn signed_in(server: &Stage, name: &str, password: &str) -> Self {
        let mut browser = Self::new(server);
        let page = browser.sign_in(name, password);
        assert_eq!(page.status, 303, "{name} cannot sign in: {}", page.text());
        browser
    }

    /// Fills the form of the sign-in page.
    pub(crate) fn sign_in(&mut self, name: &str, password: &str) -> Page {
        self.get("/console/sign-in");
        self.post("/console/sign-in", &[("name", name), ("password", password)])
    }

    /// What a path shows.
    pub(crate) fn get(&mut self, path: &str) -> Page {
        self.ask(path, &[])
    }

    /// Sends a form as a page of the console has it.
    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.token();
        self.send(path, &[&[("form", token.as_str())], fields].concat())
    }

    /// Sends a form as it is.
    pub(crate) fn send(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut arguments = vec!["-X".to_owned(), "POST".to_owned()];
        for (name, value) in fields {
            arguments.extend(["--data-urlencode".to_owned(), format!("{name}={value}")]);
        }
        self.ask(path, &arguments)
    }

    /// The token that pages of this browser have in their forms. The sign-in page has it for everybody.
    pub(crate) fn token(&mut self) -> String {
        self.get("/console/sign-in").field("form")
    }

    fn ask(&mut self, path: &str, arguments: &[String]) -> Page {
        let mut command = Command::new("curl");
        command.args(["-s", "-i", "--max-time", "60"]).args(arguments).arg(format!("{}{path}", self.url));
        if !self.cookie.is_empty() {
            command.args(["-H", &format!("Cookie: farthing={}", self.cookie)]);
        }
        for header in &self.headers {
            command.args(["-H", header]);
        }
        let page = Page::read(&run(&mut command).out);
        if let Some(cookie) = page.header("set-cookie").and_then(|line| line.split([';', '=']).nth(1)) {
            self.cookie = cookie.to_owned();
        }
        page
    }
}

impl Page {
    fn read(answer: &str) -> Self {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
        let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Self { status, headers: lines.filter_map(pair).collect(), body: body.to_owned() }
    }

    /// A header's first value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Where it leads, without its query.
    pub(crate) fn leads_to(&self) -> &str {
        self.header("location").and_then(|to| to.split('?').next()).unwrap_or_default()
    }

    /// The words between its tags.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for part in self.body.split('<') {
            text.push_str(part.split_once('>').map_or("", |(_, words)| words));
            text.push(' ');
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The addresses that its links name.
    pub(crate) fn links(&self) -> Vec<String> {
        let parts = self.body.split("href=\"").skip(1);
        parts.filter_map(|part| part.split('"').next()).map(|link| link.replace("&amp;", "&")).collect()
    }

    /// The value of the first field of this name.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> String {
        let after = self.body.split_once(&format!("name=\"{name}\" value=\""));
        let (_, after) = after.unwrap_or_else(|| panic!("no field {name} in {}", self.body));
        after.split('"').next().unwrap_or_default().to_owned()
    }

    /// The first link that begins so.
    #[track_caller]
    pub(crate) fn link(&self, begins: &str) -> String {
        let found = self.links().into_iter().find(|link| link.starts_with(begins));
        found.unwrap_or_else(|| panic!("no link to {begins} in {}", self.body))
    }
}

/// Waits until a page says what it should.
#[track_caller]
pub(crate) fn wait_for(browser: &mut Browser, path: &str, words: &str) -> Page {
    let mut page = browser.get(path);
    wait_until(&format!("{path} to say '{words}'"), || {
        page = browser.get(path);
        page.text().contains(words)
    });
    page
}
