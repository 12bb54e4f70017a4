//! The part of `AdminService` that makes and ends people who sign in to the console.

use super::access::Granted;
use super::{Services, problem};
use crate::people::{By, Refusal, Role};
use proto::code::Code;
use proto::status::Problem;
use proto::v1;
use std::collections::BTreeSet;

impl Services {
    pub(super) async fn put_user(&self, granted: &Granted, asked: v1::PutUserRequest) -> Result<(), Problem> {
        self.known_tenant(&granted.tenant).await?;
        let roles: BTreeSet<Role> = asked.roles.iter().map(|word| role(word)).collect::<Result<_, _>>()?;
        let made = self.people.put(&granted.tenant, &asked.name, roles, asked.password, self.by(granted)).await;
        made.map_err(|refusal| refused(&refusal))
    }

    pub(super) async fn disable_user(&self, granted: &Granted, name: &str) -> Result<(), Problem> {
        match self.people.disable(&granted.tenant, name, self.by(granted)).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Problem::not_found(
                Code::UserNotFound,
                format!("there is no user '{name}'; see `farthing users list`"),
            )),
            Err(refusal) => Err(refused(&refusal)),
        }
    }

    pub(super) async fn users(&self, granted: &Granted) -> Result<Vec<v1::UserSummary>, Problem> {
        let users = self.people.list(&granted.tenant).await.map_err(|error| problem::ledger(&error))?;
        let summary = |(name, user): (String, crate::people::User)| v1::UserSummary {
            name,
            roles: user.roles.iter().map(|role| role.word().to_owned()).collect(),
            disabled: user.disabled,
        };
        Ok(users.into_iter().map(summary).collect())
    }

    fn by<'a>(&self, granted: &'a Granted) -> By<'a> {
        By { who: &granted.caller.key, log_time: self.publisher.log_time() }
    }
}

fn role(word: &str) -> Result<Role, Problem> {
    Role::ALL.into_iter().find(|role| role.word() == word).ok_or_else(|| {
        Problem::invalid(Code::UserInvalid, format!("'{word}' is no role; there are finance, catalog and audit"))
            .with_violation("roles", "finance, catalog or audit")
    })
}

fn refused(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::Invalid(message) => Problem::invalid(Code::UserInvalid, message.clone()),
        Refusal::Taken(_) => Problem::conflict(Code::UserTaken, refusal.to_string()),
        Refusal::Ledger(error) => problem::ledger(error),
    }
}
