//! Codes and names of languages, as engines report them.

/// The lower-case code of a language, from a code (`en`, `en-US`) or an English name (`English`). `None` for
/// anything else. Knows the names of Whisper's languages.
#[must_use]
pub fn code(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    if let Some((_, code)) = NAMES.iter().find(|(name, _)| *name == text) {
        return Some((*code).to_owned());
    }
    let code = text.split(['-', '_']).next().unwrap_or_default();
    let is_code = (2..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase());
    (is_code && code != "und").then(|| code.to_owned())
}

/// As [`code`], but only for Whisper's languages.
#[must_use]
pub fn known_code(text: &str) -> Option<String> {
    code(text).filter(|code| NAMES.iter().any(|(_, known)| known == code))
}

/// English names and codes of Whisper's languages.
const NAMES: [(&str, &str); 100] = [
    ("afrikaans", "af"),
    ("albanian", "sq"),
    ("amharic", "am"),
    ("arabic", "ar"),
    ("armenian", "hy"),
    ("assamese", "as"),
    ("azerbaijani", "az"),
    ("bashkir", "ba"),
    ("basque", "eu"),
    ("belarusian", "be"),
    ("bengali", "bn"),
    ("bosnian", "bs"),
    ("breton", "br"),
    ("bulgarian", "bg"),
    ("cantonese", "yue"),
    ("catalan", "ca"),
    ("chinese", "zh"),
    ("croatian", "hr"),
    ("czech", "cs"),
    ("danish", "da"),
    ("dutch", "nl"),
    ("english", "en"),
    ("estonian", "et"),
    ("faroese", "fo"),
    ("finnish", "fi"),
    ("french", "fr"),
    ("galician", "gl"),
    ("georgian", "ka"),
    ("german", "de"),
    ("greek", "el"),
    ("gujarati", "gu"),
    ("haitian creole", "ht"),
    ("hausa", "ha"),
    ("hawaiian", "haw"),
    ("hebrew", "he"),
    ("hindi", "hi"),
    ("hungarian", "hu"),
    ("icelandic", "is"),
    ("indonesian", "id"),
    ("italian", "it"),
    ("japanese", "ja"),
    ("javanese", "jw"),
    ("kannada", "kn"),
    ("kazakh", "kk"),
    ("khmer", "km"),
    ("korean", "ko"),
    ("lao", "lo"),
    ("latin", "la"),
    ("latvian", "lv"),
    ("lingala", "ln"),
    ("lithuanian", "lt"),
    ("luxembourgish", "lb"),
    ("macedonian", "mk"),
    ("malagasy", "mg"),
    ("malay", "ms"),
    ("malayalam", "ml"),
    ("maltese", "mt"),
    ("maori", "mi"),
    ("marathi", "mr"),
    ("mongolian", "mn"),
    ("myanmar", "my"),
    ("nepali", "ne"),
    ("norwegian", "no"),
    ("nynorsk", "nn"),
    ("occitan", "oc"),
    ("pashto", "ps"),
    ("persian", "fa"),
    ("polish", "pl"),
    ("portuguese", "pt"),
    ("punjabi", "pa"),
    ("romanian", "ro"),
    ("russian", "ru"),
    ("sanskrit", "sa"),
    ("serbian", "sr"),
    ("shona", "sn"),
    ("sindhi", "sd"),
    ("sinhala", "si"),
    ("slovak", "sk"),
    ("slovenian", "sl"),
    ("somali", "so"),
    ("spanish", "es"),
    ("sundanese", "su"),
    ("swahili", "sw"),
    ("swedish", "sv"),
    ("tagalog", "tl"),
    ("tajik", "tg"),
    ("tamil", "ta"),
    ("tatar", "tt"),
    ("telugu", "te"),
    ("thai", "th"),
    ("tibetan", "bo"),
    ("turkish", "tr"),
    ("turkmen", "tk"),
    ("ukrainian", "uk"),
    ("urdu", "ur"),
    ("uzbek", "uz"),
    ("vietnamese", "vi"),
    ("welsh", "cy"),
    ("yiddish", "yi"),
    ("yoruba", "yo"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_recognized() {
        for (text, expected) in [
            ("en", Some("en")),
            (" English ", Some("en")),
            ("haitian creole", Some("ht")),
            ("en-US", Some("en")),
            ("pt_BR", Some("pt")),
            ("yue", Some("yue")),
            ("lao", Some("lo")),
            ("und", None),
            ("", None),
            ("Klingon", None),
            ("e1", None),
        ] {
            assert_eq!(code(text).as_deref(), expected, "{text}");
        }
    }

    #[cfg(feature = "whisper")]
    #[test]
    fn the_names_match_whisper() {
        let known: std::collections::BTreeMap<_, _> = NAMES.into_iter().collect();
        assert_eq!(known, crate::whisper::languages().into_iter().collect());
    }

    #[test]
    fn only_whispers_languages_are_known() {
        for (text, expected) in
            [("English", Some("en")), ("pt-BR", Some("pt")), ("yue", Some("yue")), ("xx", None), ("", None)]
        {
            assert_eq!(known_code(text).as_deref(), expected, "{text}");
        }
    }
}
