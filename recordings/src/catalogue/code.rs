//! Course codes: `CSC 171-1` is a section of the course `CSC 171`.

/// Longest department and number accepted, in characters. Real ones have 2 to 4 and 3 to 5.
const MAX_PART: usize = 16;

/// The course of a section, such as `CSC 171` for `csc  171-FA.MB`. `None` where the text does not have the shape
/// `DEPARTMENT NUMBER`, with or without a section: a guess would merge different courses or invent new ones.
///
/// The section starts at the first `-` after the number. A text without a blank has no department, so its `-` may be
/// part of the code (`TEO-101`): an unknown shape.
#[must_use]
pub fn course_of_section(text: &str) -> Option<String> {
    let text = fold(text);
    let (department, rest) = text.split_once(' ')?;
    let number = rest.split('-').next().unwrap_or_default().trim_end();
    let is_part = |part: &str| (1..=MAX_PART).contains(&part.len());
    let department_known = is_part(department)
        && department.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && department.bytes().any(|byte| byte.is_ascii_alphabetic());
    let number_known = is_part(number)
        && number.starts_with(|first: char| first.is_ascii_alphanumeric())
        && number.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    (department_known && number_known).then(|| format!("{department} {number}"))
}

/// The normal form of a code, for comparison: one blank between words, capital letters. Keeps a section, since a person may have
/// used a `-` in a code.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    folded.make_ascii_uppercase();
    folded
}
