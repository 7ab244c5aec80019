//! Where recordings and courses come from: Panopto, HLS playlists, files, and the course catalogue. Knows no job and no
//! database.
//!
//! ```no_run
//! use bedel_fetch::{FetchPolicy, Fetcher};
//! use bedel_recordings::panopto::{self, delivery_info, hosts::FETCH_HOSTS};
//! # async fn example(page: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let fetcher = Fetcher::new(FetchPolicy::listed(FETCH_HOSTS.map(str::to_owned).into(), Vec::new()))?;
//! let recording = panopto::recording(page, None, &[])?;
//! let end_point = delivery_info::end_point(&recording);
//! let form = delivery_info::form(recording.key);
//! let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
//! let timeout = std::time::Duration::from_secs(30);
//! let answer = fetcher.post_form(&end_point, &form, delivery_info::MAX_BYTES, timeout).await?;
//! println!("{:?}", delivery_info::read(&end_point, &answer.bytes, answer.content_type.as_deref()));
//! # Ok(())
//! # }
//! ```
//!
//! # Reading order
//!
//! 1. [`panopto`]: from the address of a page to a recording, and from Panopto's answer to the address of its stream.
//! 2. [`source`]: from the address of a stream to local files that ffmpeg reads. [`source::download`] is the way in;
//!    [`source::download_dir`] keeps the files for the next attempt; `hls` fetches the segments of a playlist.
//! 3. [`catalogue`]: from the catalogue's terms to courses. [`catalogue::fetch_terms`] is the way in.
//!
//! Every request goes through [`bedel_fetch`]. Every answer is hostile until it is checked.

pub mod catalogue;
pub mod panopto;
pub mod source;
