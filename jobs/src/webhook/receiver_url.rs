//! Checks of a receiver's URL at registration. Delivery checks it again, with the addresses that its name has then.

use bedel_fetch::UrlRefusal;

use crate::environment::Settings;
use crate::invalid_field::{InvalidField, invalid};

/// The URL in its stored form.
///
/// # Errors
/// The rule that it breaks. The text does not repeat the URL.
pub fn check(field: &'static str, text: &str, settings: &Settings) -> Result<String, InvalidField> {
    let mut url = settings.webhooks.check(text.trim()).map_err(|refusal| {
        let advice = match refusal {
            UrlRefusal::Unencrypted | UrlRefusal::NotPublic { .. } => {
                ". Use a public https address, or ask the operators to allow this one (BEDEL_WEBHOOK_ALLOW)"
            }
            _ => "",
        };
        let reason = match refusal {
            UrlRefusal::Scheme => "it is neither an https nor an http address".to_owned(),
            UrlRefusal::Unencrypted => "it is not encrypted".to_owned(),
            other => other.to_string(),
        };
        invalid(field, "url", format!("{reason}{advice}"))
    })?;
    url.set_fragment(None);
    Ok(url.into())
}
