//! Tells fragmented MPEG-4 files from others.

use std::io::SeekFrom;
use std::path::Path;

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// Boxes read at most. The first fragment is the third or fourth box.
const MAX_BOXES: usize = 1000;

/// True for an MPEG-4 file with a fragment (`moof`). Any other file has none.
pub(super) async fn has_fragments(file: &Path) -> bool {
    find(file).await.unwrap_or(false)
}

async fn find(file: &Path) -> std::io::Result<bool> {
    let mut file = File::open(file).await?;
    let mut start = 0;
    for _ in 0..MAX_BOXES {
        file.seek(SeekFrom::Start(start)).await?;
        let (length, kind) = (file.read_u32().await?, file.read_u32().await?.to_be_bytes());
        let length = match length {
            1 => file.read_u64().await?,
            short => u64::from(short),
        };
        match &kind {
            b"moof" => return Ok(true),
            // The last box may reach to the end of the file.
            _ if length < 8 || !kind.iter().all(u8::is_ascii_graphic) => return Ok(false),
            _ => start = start.saturating_add(length),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_files_with_a_fragment_have_one() {
        let boxed = |kind: &[u8; 4], content: usize| {
            let mut bytes = (content as u32 + 8).to_be_bytes().to_vec();
            bytes.extend_from_slice(kind);
            bytes.resize(content + 8, 0);
            bytes
        };
        let large = [&1_u32.to_be_bytes()[..], b"free", &20_u64.to_be_bytes(), &[0; 4]].concat();
        let dir = tempfile::tempdir().unwrap();
        for (bytes, expected) in [
            ([boxed(b"ftyp", 8), boxed(b"moov", 100), boxed(b"moof", 50)].concat(), true),
            ([boxed(b"ftyp", 8), large, boxed(b"moof", 50)].concat(), true),
            ([boxed(b"ftyp", 8), boxed(b"moov", 100), boxed(b"mdat", 50)].concat(), false),
            ([0_u32.to_be_bytes().as_slice(), b"mdat"].concat(), false),
            (b"RIFF moof moof moof moof".to_vec(), false),
            (Vec::new(), false),
        ] {
            let path = dir.path().join("file");
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(has_fragments(&path).await, expected, "{bytes:?}");
        }
    }
}
