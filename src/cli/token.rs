//! `bedel token`.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use uuid::Uuid;

use super::output::OutputOptions;
use super::table::{self, Column};
use crate::api::api_tokens::{self, Listed};
use crate::config::common::CommonOptions;
use crate::config::database::DatabaseOptions;
use crate::error::CliError;
use crate::run::database;

const COLUMNS: [Column; 7] = [
    Column::whole("ID"),
    Column::text("USER"),
    Column::text("NAME"),
    Column::whole("SCOPE").optional(),
    Column::whole("CREATED").optional(),
    Column::whole("EXPIRES").optional(),
    Column::whole("REVOKED").optional(),
];

/// `bedel token …`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Create a token for a user; it is printed once and cannot be read again
    Create(CreateToken),
    /// List tokens, newest first, without the tokens themselves
    List(ListTokens),
    /// Revoke a token
    Revoke(RevokeToken),
}

/// Scope of a token; each includes the ones before it.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Scope {
    /// Read
    Read,
    /// Submit, change and remove
    Write,
    /// Everything an admin may do
    Admin,
}

/// The token to create.
#[derive(Debug, Args)]
pub struct CreateToken {
    /// The user of the token
    #[arg(long, value_name = "UUID")]
    user: Uuid,
    /// Purpose of the token, shown in the list
    #[arg(long)]
    name: String,
    /// What the token allows
    #[arg(long, value_enum, default_value_t = Scope::Write)]
    scope: Scope,
    /// Days until it expires [default: never]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Option<u32>,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    database: DatabaseOptions,
}

/// Filter of a list.
#[derive(Debug, Args)]
pub struct ListTokens {
    /// Only this user's tokens
    #[arg(long, value_name = "UUID")]
    user: Option<Uuid>,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    database: DatabaseOptions,
}

/// The token to revoke.
#[derive(Debug, Args)]
pub struct RevokeToken {
    /// Id of the token, from `bedel token list`
    #[arg(value_name = "ID")]
    id: Uuid,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    database: DatabaseOptions,
}

impl TokenCommand {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// If there is no such token, or the database fails.
    pub async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        match self {
            Self::Create(command) => command.run(common).await,
            Self::List(command) => command.run(common).await,
            Self::Revoke(command) => command.run(common).await,
        }
    }
}

impl CreateToken {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        if self.name.trim().is_empty() || self.name.contains('\0') {
            return Err(CliError::Usage(
                "--name: say what the token is for, such as `lab script`".to_owned(),
            ));
        }
        let scope = match self.scope {
            Scope::Read => api_tokens::READ,
            Scope::Write => api_tokens::WRITE,
            Scope::Admin => api_tokens::ADMIN,
        };
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let mut tx = pool.begin().await?;
        let made = api_tokens::create(&mut tx, self.user, self.name.trim(), scope, self.days).await;
        let (id, token) = made?;
        tx.commit().await?;
        let made = json!({
            "id": id, "user_id": self.user, "name": self.name.trim(), "scope": scope, "days": self.days, "token": token,
        });
        self.output.print(&made, || format!("{token}\n"))
    }
}

impl ListTokens {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let mut connection = pool.acquire().await?;
        let listed = api_tokens::list(&mut connection, self.user).await?;
        self.output.print(&listed, || {
            let rows: Vec<_> = listed.iter().map(line).collect();
            table::render(&COLUMNS, &rows)
        })
    }
}

impl RevokeToken {
    async fn run(&self, common: &CommonOptions) -> Result<(), CliError> {
        let pool = database::for_command(&self.database, &common.data_dir).await?;
        let mut connection = pool.acquire().await?;
        if !api_tokens::revoke(&mut connection, self.id).await? {
            return Err(CliError::Failed(format!(
                "{} was revoked already, or there is no such token; type: bedel token list",
                self.id
            )));
        }
        self.output.print(&json!({ "id": self.id, "revoked": true }), || format!("{} is revoked\n", self.id))
    }
}

fn line(token: &Listed) -> Vec<String> {
    let time = |time: Option<_>| time.map_or_else(|| "-".to_owned(), table::time);
    vec![
        token.id.to_string(),
        token.user_id.to_string(),
        token.name.clone(),
        token.scope.clone(),
        table::time(token.created_at),
        time(token.expires_at),
        time(token.revoked_at),
    ]
}
