//! `outlay server user` and `outlay server token`: who may ask the server, and with what.

use std::io::{BufRead, IsTerminal};

use outlay_ledger::{Fault, LedgerError};
use outlay_server::doors::people::{self, By, Role, Scope};
use outlay_units::{parse_duration_seconds, timestamp};
use serde_json::json;

use crate::failure::Failure;
use crate::ledger::{Books, LedgerArgs, now_us, of_ledger, who};
use crate::printer::{Align, Printer, aside};

/// What can be done with users.
#[derive(clap::Subcommand, Debug)]
pub enum UserAction {
    /// Add a user; the password is asked for, or read from stdin
    Add {
        /// Name to log in with
        name: String,
        /// What the user may do: viewer, editor (log and register) or admin (also manage users, delete experiments and models)
        #[arg(long, value_name = "ROLE", value_parser = role)]
        role: Role,
    },
    /// List the users
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a user, with every token and login
    Remove {
        /// Name of the user
        name: String,
    },
    /// Set another password; the user's logins end, tokens stay
    Password {
        /// Name of the user
        name: String,
    },
    /// Give a user another role
    Role {
        /// Name of the user
        name: String,
        /// The role: viewer, editor or admin
        #[arg(value_parser = role)]
        role: Role,
    },
}

/// What can be done with tokens.
#[derive(clap::Subcommand, Debug)]
pub enum TokenAction {
    /// Make a token and print it, this once
    Create {
        /// Whose it is
        #[arg(long, value_name = "NAME")]
        user: String,
        /// What it may do, as long as its user may: read, write or admin
        #[arg(long, value_name = "SCOPE", value_parser = scope)]
        scope: Scope,
        /// How long it is valid, such as 30d [default: until it is revoked]
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        /// What people call it, such as the machine that uses it
        #[arg(long, value_name = "NAME", default_value = "")]
        name: String,
    },
    /// List the tokens, without what they are
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End a token
    Revoke {
        /// Its id in the list, or the beginning of it
        id: String,
    },
}

fn role(text: &str) -> Result<Role, String> {
    Role::from_name(text).ok_or_else(|| "allowed: viewer, editor, admin".to_owned())
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::from_name(text).ok_or_else(|| "allowed: read, write, admin".to_owned())
}

fn by() -> By {
    By {
        who: who(),
        from: "terminal".to_owned(),
        now_us: now_us(),
    }
}

/// A failure of the ledger about a user or a token; that one is missing says nothing about the ledger.
fn failed(error: LedgerError) -> Failure {
    match error.fault {
        Fault::Missing(what) | Fault::Exists(what) => Failure::input(what),
        _ => of_ledger(error),
    }
}

/// A password, typed twice without being shown, or the first line of what is piped in; hashed.
fn read_password() -> Result<String, Failure> {
    let wrong = |error: std::io::Error| Failure::input(format!("no password was read: {error}"));
    let stdin = std::io::stdin();
    let password = if stdin.is_terminal() {
        let ask = |text: &str| rpassword::prompt_password(text).map_err(wrong);
        let password = ask("Password (at least 12 letters): ")?;
        if ask("The same again: ")? != password {
            return Err(Failure::input("the two passwords are not the same"));
        }
        password
    } else {
        let mut line = String::new();
        stdin.lock().read_line(&mut line).map_err(wrong)?;
        line.trim_end_matches(['\n', '\r']).to_owned()
    };
    people::hash_password(&password).map_err(Failure::input)
}

/// Runs `outlay server user`.
pub fn user(
    action: &UserAction,
    ledger: &LedgerArgs,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let place = ledger.place();
    match action {
        UserAction::Add { name, role } => {
            let password = read_password()?;
            let books = Books::open(&place, true)?;
            books
                .wait(people::add_user(
                    books.ledger(),
                    name,
                    *role,
                    password,
                    by(),
                ))
                .map_err(failed)?;
            books.close();
            printer.sentence(&format!(
                "User `{name}` may log in as {}. `outlay server token create --user {name} --scope write` makes a \
                 token for scripts.",
                role.name()
            ));
        }
        UserAction::List { json } => {
            let books = Books::open(&place, false)?;
            let users = books.ask(people::users(books.ledger()))?;
            books.close();
            if *json {
                let users: Vec<_> = users
                    .iter()
                    .map(|user| {
                        json!({"name": user.name, "role": user.role, "created": timestamp(user.created_us)})
                    })
                    .collect();
                return printer.json(&users);
            }
            if users.is_empty() {
                printer.sentence(
                    "There are no users. `outlay server user add NAME --role admin` adds the first.",
                );
                return Ok(());
            }
            let rows: Vec<Vec<String>> = users
                .iter()
                .map(|user| {
                    let created = timestamp(user.created_us);
                    vec![
                        user.name.clone(),
                        user.role.name().to_owned(),
                        day(&created).to_owned(),
                    ]
                })
                .collect();
            let left = Align::Left;
            printer.table(&[("user", left), ("role", left), ("added", left)], &rows);
        }
        UserAction::Remove { name } => {
            let books = Books::open(&place, true)?;
            books
                .wait(people::remove_user(books.ledger(), name, by()))
                .map_err(failed)?;
            warn_of_admins(&books)?;
            books.close();
            printer.sentence(&format!("User `{name}` is removed, with every token."));
        }
        UserAction::Password { name } => {
            let password = read_password()?;
            let books = Books::open(&place, true)?;
            let change = people::change_user(books.ledger(), name, None, Some(password), by());
            books.wait(change).map_err(failed)?;
            books.close();
            printer.sentence(&format!(
                "User `{name}` has another password. Tokens stay valid: `outlay server token list` shows them."
            ));
        }
        UserAction::Role { name, role } => {
            let books = Books::open(&place, true)?;
            let change = people::change_user(books.ledger(), name, Some(*role), None, by());
            books.wait(change).map_err(failed)?;
            warn_of_admins(&books)?;
            books.close();
            printer.sentence(&format!("User `{name}` is {} now.", role.name()));
        }
    }
    Ok(())
}

/// Says where nobody is left to manage users over the network, or nobody at all.
fn warn_of_admins(books: &Books) -> Result<(), Failure> {
    let users = books.ask(people::users(books.ledger()))?;
    if users.is_empty() {
        aside(
            "no users are left: a server on this machine's own address asks nobody who they are any more, any other \
             answers nobody",
        );
    } else if users.iter().all(|user| user.role != Role::Admin) {
        aside("no admin is left; `outlay server user role NAME admin` makes one");
    }
    Ok(())
}

/// Runs `outlay server token`.
pub fn token(
    action: &TokenAction,
    ledger: &LedgerArgs,
    printer: &mut Printer,
) -> Result<(), Failure> {
    let place = ledger.place();
    match action {
        TokenAction::Create {
            user,
            scope,
            expires,
            name,
        } => {
            let expires_us = match expires {
                None => None,
                Some(text) => {
                    let seconds = parse_duration_seconds(text)
                        .map_err(|error| Failure::input(format!("--expires: {error}")))?;
                    if seconds > 3650.0 * 86_400.0 {
                        return Err(Failure::input(format!(
                            "--expires is `{text}`; allowed: up to 3650d"
                        )));
                    }
                    Some(now_us() + (seconds * 1e6) as i64)
                }
            };
            let books = Books::open(&place, true)?;
            let create = people::create_token(books.ledger(), user, name, *scope, expires_us, by());
            let (id, token) = books.wait(create).map_err(failed)?;
            books.close();
            printer.line(&token);
            let until = expires_us.map_or_else(
                || "until it is revoked".to_owned(),
                |expires| format!("until {}", timestamp(expires)),
            );
            aside(&format!(
                "this is token {id}, valid {until}; it is shown this once. MLFLOW_TRACKING_TOKEN takes it"
            ));
        }
        TokenAction::List { json } => {
            let books = Books::open(&place, false)?;
            let tokens = books.ask(people::tokens(books.ledger()))?;
            books.close();
            if *json {
                let tokens: Vec<_> = tokens
                    .iter()
                    .map(|(id, token)| {
                        json!({
                            "id": id, "user": token.user, "name": token.name, "scope": token.scope,
                            "created": timestamp(token.created_us), "expires": token.expires_us.map(timestamp),
                        })
                    })
                    .collect();
                return printer.json(&tokens);
            }
            if tokens.is_empty() {
                printer.sentence(
                    "There are no tokens. `outlay server token create --user NAME --scope write` makes one.",
                );
                return Ok(());
            }
            let now_us = now_us();
            let rows: Vec<Vec<String>> = tokens
                .iter()
                .map(|(id, token)| {
                    let expires = match token.expires_us {
                        None => "never".to_owned(),
                        Some(at) if at <= now_us => "expired".to_owned(),
                        Some(at) => day(&timestamp(at)).to_owned(),
                    };
                    vec![
                        id.clone(),
                        token.user.clone(),
                        token.scope.name().to_owned(),
                        token.name.clone(),
                        expires,
                    ]
                })
                .collect();
            let left = Align::Left;
            printer.table(
                &[
                    ("id", left),
                    ("user", left),
                    ("scope", left),
                    ("name", left),
                    ("expires", left),
                ],
                &rows,
            );
        }
        TokenAction::Revoke { id } => {
            let books = Books::open(&place, true)?;
            let token = books
                .wait(people::revoke_token(books.ledger(), id, None, by()))
                .map_err(failed)?;
            books.close();
            printer.sentence(&format!("The token of `{}` is revoked.", token.user));
        }
    }
    Ok(())
}

/// The day of a time.
fn day(timestamp: &str) -> &str {
    timestamp.split('T').next().unwrap_or(timestamp)
}
