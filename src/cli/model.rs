//! `bedel model`.

use bedel_speech::models::{self, InstalledModel, Step};
use clap::{Args, Subcommand};

use super::output::OutputOptions;
use super::progress::Progress;
use super::table::{self, Column};
use crate::config::speech::SpeechOptions;
use crate::error::CliError;
use crate::run::environment;

/// `bedel model …`
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Install the configured model or another one, checked by its sha256
    ///
    /// Example: `bedel model install https://models.example.org/ggml-small.bin --sha256 1be3a9b2…`
    Install(InstallModel),
    /// List the installed models
    List(ListModels),
    /// Read an installed model and compare its sha256
    Verify(NamedModel),
}

/// A model to install.
#[derive(Debug, Args)]
pub struct InstallModel {
    /// Name of a model, or URL or path of a ggml file [default: BEDEL_MODEL]
    #[arg(value_name = "NAME|URL|PATH")]
    name: Option<String>,
    /// Expected sha256 of the file, in hexadecimal; known for models by name
    #[arg(long, value_name = "HEX", value_parser = sha256)]
    sha256: Option<String>,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    speech: SpeechOptions,
}

fn sha256(text: &str) -> Result<String, &'static str> {
    let is_one = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| text.to_owned()).ok_or("64 hexadecimal digits")
}

/// A model to verify.
#[derive(Debug, Args)]
pub struct NamedModel {
    /// Name [default: BEDEL_MODEL]
    name: Option<String>,
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    speech: SpeechOptions,
}

/// Format of the list.
#[derive(Debug, Args)]
pub struct ListModels {
    #[command(flatten)]
    output: OutputOptions,
    #[command(flatten)]
    speech: SpeechOptions,
}

impl ModelCommand {
    /// Runs the subcommand. It blocks, so it runs off the async threads.
    ///
    /// # Errors
    /// If the model cannot be installed, listed or verified. The text says what to do.
    pub async fn run(self) -> Result<(), CliError> {
        tokio::task::spawn_blocking(move || match self {
            Self::Install(model) => model.install(),
            Self::List(list) => list.run(),
            Self::Verify(model) => model.verify(),
        })
        .await
        .map_err(|error| CliError::Failed(error.to_string()))?
    }
}

impl InstallModel {
    fn install(&self) -> Result<(), CliError> {
        let directory = environment::model_dir(&self.speech)?;
        let model = self.name.as_deref().unwrap_or(&self.speech.model);
        let progress = Progress::start();
        progress.step("opening the model store");
        let installed = models::install(model, self.sha256.as_deref(), &directory, &mut |step| match step {
            Step::Fetch { bytes, total } => progress.bytes("fetching the model", bytes, total),
            Step::Convert => progress.step("converting the model"),
        });
        drop(progress);
        let installed = installed.map_err(|error| CliError::Failed(error.to_string()))?;
        self.output.print(&json(&installed), || {
            let InstalledModel { path, bytes, sha256, .. } = &installed;
            format!("installed {} ({bytes} bytes, sha256 {sha256})\n", path.display())
        })
    }
}

impl NamedModel {
    fn verify(&self) -> Result<(), CliError> {
        let directory = environment::model_dir(&self.speech)?;
        let installed =
            models::verify(&directory, self.name()).map_err(|error| CliError::Failed(error.to_string()))?;
        self.output.print(&json(&installed), || {
            format!("intact: {} (sha256 {})\n", installed.path.display(), installed.sha256)
        })
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.speech.model)
    }
}

impl ListModels {
    fn run(&self) -> Result<(), CliError> {
        let directory = environment::model_dir(&self.speech)?;
        let models = models::list(&directory).map_err(|error| CliError::Failed(error.to_string()))?;
        let values: Vec<_> = models.iter().map(json).collect();
        self.output.print(&values, || {
            if models.is_empty() {
                return format!("no models in {}; type: bedel model install\n", directory.display());
            }
            let cells: Vec<_> = models.iter().map(row).collect();
            table::render(&COLUMNS, &cells)
        })
    }
}

const COLUMNS: [Column; 4] =
    [Column::whole("NAME"), Column::whole("MB"), Column::text("SHA256"), Column::text("PATH")];

fn row(model: &InstalledModel) -> Vec<String> {
    let megabytes = format!("{:.1}", model.bytes as f64 / 1e6);
    vec![model.name.clone(), megabytes, model.sha256.clone(), model.path.display().to_string()]
}

fn json(model: &InstalledModel) -> serde_json::Value {
    serde_json::json!({ "name": model.name, "bytes": model.bytes, "sha256": model.sha256, "path": model.path })
}
