//! `bedel model`.

use bedel_speech::models::{self, InstalledModel};
use clap::{Args, Subcommand};

use super::table;
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
    speech: SpeechOptions,
}

/// Format of the list.
#[derive(Debug, Args)]
pub struct ListModels {
    /// Print JSON
    #[arg(long)]
    json: bool,
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
        let installed = models::install(model, self.sha256.as_deref(), &directory)
            .map_err(|error| CliError::Failed(error.to_string()))?;
        println!(
            "installed {} ({} bytes, sha256 {})",
            installed.path.display(),
            installed.bytes,
            installed.sha256
        );
        Ok(())
    }
}

impl NamedModel {
    fn verify(&self) -> Result<(), CliError> {
        let directory = environment::model_dir(&self.speech)?;
        let installed =
            models::verify(&directory, self.name()).map_err(|error| CliError::Failed(error.to_string()))?;
        println!("intact: {} (sha256 {})", installed.path.display(), installed.sha256);
        Ok(())
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.speech.model)
    }
}

impl ListModels {
    fn run(&self) -> Result<(), CliError> {
        let directory = environment::model_dir(&self.speech)?;
        let models = models::list(&directory).map_err(|error| CliError::Failed(error.to_string()))?;
        if self.json {
            println!("{}", serde_json::Value::from_iter(models.iter().map(json)));
        } else if models.is_empty() {
            println!("no models in {}; type: bedel model install", directory.display());
        } else {
            let cells: Vec<_> = models
                .iter()
                .map(|model| {
                    let megabytes = format!("{:.1}", model.bytes as f64 / 1e6);
                    vec![
                        model.name.clone(),
                        megabytes,
                        model.sha256.clone(),
                        model.path.display().to_string(),
                    ]
                })
                .collect();
            print!("{}", table::render(&["NAME", "MB", "SHA256", "PATH"], &cells));
        }
        Ok(())
    }
}

fn json(model: &InstalledModel) -> serde_json::Value {
    serde_json::json!({ "name": model.name, "bytes": model.bytes, "sha256": model.sha256, "path": model.path })
}
