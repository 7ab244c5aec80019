//! An uploaded recording, as a speech server of these tests receives it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use bedel_media::MediaTools;
use bedel_speech::{Control, DecodedAudio, Engine, RawTranscript};
use tokio_util::sync::CancellationToken;

use crate::memory_call_log::MemoryCallLog;

/// A form with one file.
pub struct Upload {
    /// Name of the file.
    pub name: String,
    file: Bytes,
    /// The other fields.
    fields: HashMap<String, String>,
}

impl Upload {
    /// The form in a request's body. `None` if `file_field` has no file.
    pub async fn read(content_type: &str, body: Body, file_field: &str) -> Option<Self> {
        let boundary = multer::parse_boundary(content_type).expect("a form");
        let mut form = multer::Multipart::new(body.into_data_stream(), boundary);
        let (mut file, mut fields) = (None, HashMap::new());
        while let Some(field) = form.next_field().await.expect("a field") {
            let field_name = field.name().expect("a field has a name").to_owned();
            if field_name == file_field {
                let name = field.file_name().expect("a file has a name").to_owned();
                file = Some((name, field.bytes().await.expect("its bytes")));
            } else {
                fields.insert(field_name, field.text().await.expect("its text"));
            }
        }
        file.map(|(name, file)| Self { name, file, fields })
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// The decoded file.
    pub async fn samples(&self) -> Vec<f32> {
        let directory = tempfile::tempdir().expect("a directory");
        let (file, decoded) = (directory.path().join("audio"), directory.path().join("audio.f32"));
        std::fs::write(&file, &self.file).expect("written");
        MediaTools::find().expect("ffmpeg").decode_pcm(&file, &decoded).await.expect("a recording");
        let sound = DecodedAudio::open(&decoded).expect("sound");
        sound.read(0..sound.samples()).await.expect("samples")
    }

    /// The engine's transcript, and the length in seconds.
    pub async fn transcribe(&self, engine: &dyn Engine) -> (RawTranscript, f64) {
        let samples = Arc::new(self.samples().await);
        let (book, control) = (MemoryCallLog::default(), Control::new(CancellationToken::new(), |_| ()));
        let passage = book.chunk(&samples, self.field("language"), Path::new("/"));
        let heard = engine.transcribe(passage, &control).await.expect("heard");
        (heard, samples.len() as f64 / 16_000.0)
    }
}
