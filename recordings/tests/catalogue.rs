//! Reading the catalogue: terms, codes, documents, merging.

use bedel_recordings::catalogue::code::{course_of_section, fold};
use bedel_recordings::catalogue::document::{self, Document, DocumentError, Section};
use bedel_recordings::catalogue::merge::merge;
use bedel_recordings::catalogue::term::{Season, Term};
use bedel_recordings::catalogue::term_url;
use chrono::NaiveDate;
use url::Url;

fn term(text: &str) -> Term {
    text.parse().expect("a term")
}

#[test]
fn terms_are_read_in_the_forms_people_and_the_catalogue_use() {
    let fall = Term::new(Season::Fall, 2018);
    for text in ["Fall 2018", "fall 2018", "  FALL   2018 ", "20191", "D-20191"] {
        assert_eq!(text.parse(), Ok(fall), "{text}");
    }
    assert_eq!(term("20182"), Term::new(Season::Spring, 2018));
    for text in
        ["", "Fall", "Fall 18", "Fall 20180", "Fall -018", "Autumn 2018", "20195", "2019", "201911", "99991"]
    {
        assert!(text.parse::<Term>().is_err(), "{text}");
    }
}

#[test]
fn a_term_and_its_code_lead_to_each_other() {
    for season in [Season::Winter, Season::Spring, Season::Summer, Season::Fall] {
        for year in [1999, 2000, 2026, 2027] {
            let term = Term::new(season, year);
            assert_eq!(term.code().to_string().parse(), Ok(term));
            assert_eq!(term.to_string().parse(), Ok(term));
        }
    }
    assert_eq!(term("Fall 2018").code(), 20191);
    assert_eq!(term("Spring 2018").code(), 20182);
}

#[test]
fn terms_are_ordered_by_time() {
    let mut terms = ["Fall 2026", "Winter 2027", "Spring 2026", "Summer 2026", "Spring 2027"].map(term);
    terms.sort_unstable();
    let names = terms.map(|term| term.to_string());
    assert_eq!(names, ["Spring 2026", "Summer 2026", "Fall 2026", "Winter 2027", "Spring 2027"]);
}

#[test]
fn the_default_terms_are_the_regular_one_and_the_next() {
    for (year, month, day, expected) in [
        (2026, 1, 1, ["Spring 2026", "Fall 2026"]),
        (2026, 7, 31, ["Spring 2026", "Fall 2026"]),
        (2026, 8, 1, ["Fall 2026", "Spring 2027"]),
        (2026, 12, 31, ["Fall 2026", "Spring 2027"]),
    ] {
        let date = NaiveDate::from_ymd_opt(year, month, day).expect("a date");
        assert_eq!(Term::around(date).map(|term| term.to_string()), expected, "{date}");
    }
}

#[test]
fn a_term_is_asked_for_by_name() {
    let base = Url::parse("https://cdcs.example.edu/XMLQuery.aspx").expect("a URL");
    let url = term_url(&base, term("20271"));
    assert_eq!(url.as_str(), "https://cdcs.example.edu/XMLQuery.aspx?id=XML&term=Fall+2026&type=Lecture");
}

#[test]
fn sections_are_cut_off_their_courses() {
    for (section, course) in [
        ("CSC 171-1", "CSC 171"),
        ("CSC 171-01", "CSC 171"),
        ("PHY 113-1A", "PHY 113"),
        ("WRT 105-A", "WRT 105"),
        ("ACC 401-FA.MB", "ACC 401"),
        ("CSC 171", "CSC 171"),
        ("5MTH 101-1", "5MTH 101"),
        ("MUY 501-LEC-01", "MUY 501"),
        ("EDU 401-EE_1", "EDU 401"),
        ("CSC 160-", "CSC 160"),
        (" BIO \t 110-2 ", "BIO 110"),
        ("AH 128-1/ART 128-1", "AH 128"),
        ("csc 171w-1", "CSC 171W"),
        ("CSC 171 - 1", "CSC 171"),
    ] {
        assert_eq!(course_of_section(section).as_deref(), Some(course), "{section:?}");
    }
}

#[test]
fn codes_of_unknown_shape_are_not_guessed_at() {
    for text in [
        "",
        " ",
        "TEO-101",
        "OP-1-2",
        "CSC",
        "CSC -1",
        "CSC-A 171",
        "123 456",
        "CSC 171 LAB-1",
        "AH 128/ART 128",
        "CSC 17\u{FFFD}-1",
        "CSC 171_2",
        "CSC .",
        "ABCDEFGHIJKLMNOPQ 1",
    ] {
        assert_eq!(course_of_section(text), None, "{text:?}");
    }
}

#[test]
fn the_code_of_a_course_is_its_own_folded_form() {
    for section in ["csc 171-1", "ACC  401-FA.MB"] {
        let code = course_of_section(section).expect("a course");
        assert_eq!(fold(&code), code);
        assert_eq!(course_of_section(&code).as_ref(), Some(&code));
    }
    assert_eq!(fold(" my  own-course "), "MY OWN-COURSE");
}

fn read(text: &str) -> Result<Document, DocumentError> {
    document::read(text.as_bytes())
}

fn section(code: &str, title: &str, instructors: &[&str]) -> Section {
    let instructors = instructors.iter().map(|name| (*name).to_owned()).collect();
    Section { code: code.to_owned(), title: title.to_owned(), instructors }
}

#[test]
fn a_document_like_the_real_ones_is_read() {
    let document = read(
        r#"<?xml version="1.0" encoding="utf-16"?>
<courses>
 <course><cn>CSC 171-1</cn><crn>12345</crn><term>Fall 2025</term><yr_term>20261</yr_term><school>1</school><dept>CSC</dept>
  <title>INTRO TO COMPUTER SCIENCE </title><status>Open</status><credits>4.0 </credits><offered>Fall Spring</offered>
  <description>Objects &amp; classes ... &eacute;</description><restrictions/><prerequisites/><classinfo/><crosslisted/>
  <instructors>PAWLICKI T; ST JACQUES J;;PAWLICKI T </instructors><sectionenrolled>87</sectionenrolled>
  <schedules><schedule><day>TR</day><title>not the title</title><start_time>940</start_time></schedule></schedules></course>
 <course><cn>ACC 401-FA.MB</cn><title>Corporate Financial Accounting</title><instructors/></course>
</courses>"#,
    )
    .expect("a document");
    assert_eq!(
        document.sections,
        [
            section("CSC 171", "INTRO TO COMPUTER SCIENCE", &["PAWLICKI T", "ST JACQUES J", "PAWLICKI T"]),
            section("ACC 401", "Corporate Financial Accounting", &[]),
        ]
    );
    assert_eq!(document.skipped, 0);
}

#[test]
fn neither_the_root_nor_the_depth_of_entries_matters() {
    for text in [
        "<root><course><cn>CSC 1</cn><title>T</title></course></root>",
        "<course><cn>CSC 1</cn><title>T</title></course>",
        "<a:x xmlns:a='urn:a'><y><a:course><a:cn>CSC 1</a:cn><a:title>T</a:title></a:course></y></a:x>",
        "\u{FEFF}<courses>\n<course><title><![CDATA[T]]></title><cn>CSC 1</cn></course></courses>\n",
    ] {
        assert_eq!(read(text).expect(text).sections, [section("CSC 1", "T", &[])], "{text}");
    }
}

#[test]
fn one_bad_field_costs_no_other() {
    let mut bytes = b"<courses><course><cn>CSC 1-1</cn><title>R &amp; D &#x26; caf\xe9 &nbsp;&unknown; A & B&#0;</title></course>".to_vec();
    bytes.extend_from_slice(b"<course><cn>CSC\0 2</cn><title>\0Two\r\n lines\x07 </title><description>\xff\xfe\x80</description></course>");
    bytes.extend_from_slice(b"</courses>");
    let document = document::read(&bytes).expect("a document");
    assert_eq!(document.sections[0], section("CSC 1", "R & D & caf\u{FFFD} &unknown; A & B\u{FFFD}", &[]));
    assert_eq!(document.skipped, 1);
    assert_eq!(document.examples, ["CSC 2"]);
}

#[test]
fn entries_without_a_code_or_a_title_are_counted() {
    let document = read(
        "<courses><course><cn>CSC 1</cn></course><course><title>T</title></course><course/><course><cn>CSC 2</cn><title> </title></course>\
         <course><cn>TEO-101</cn><title>T</title></course><course><cn>CSC 3</cn><title>Three</title></course></courses>",
    )
    .expect("a document");
    assert_eq!(document.sections, [section("CSC 3", "Three", &[])]);
    assert_eq!(document.skipped, 5);
}

#[test]
fn long_fields_are_cut_on_a_character() {
    let title = "é".repeat(20_000);
    let document =
        read(&format!("<c><course><cn>CSC 1</cn><title>{title}</title></course></c>")).expect("a document");
    assert_eq!(document.sections[0].title, "é".repeat(300));
}

#[test]
fn what_is_no_list_of_courses_is_refused() {
    use DocumentError::{CutOff, Dtd, NoCourses, TooDeep, WebPage};
    let whole = "<courses><course><cn>CSC 1</cn><title>T</title></course><course><cn>CSC 2</cn><title>T</title></course></courses>";
    let deep = format!("{}{}", "<a>".repeat(200), "</a>".repeat(200));
    for (text, error) in [
        ("<!DOCTYPE html><html><body><br>Sorry</body></html>", WebPage),
        ("<HTML><head><meta charset=utf-8></head></HTML>", WebPage),
        (
            "<!DOCTYPE c [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]><c><course><cn>CSC 1</cn><title>&b;</title></course></c>",
            Dtd,
        ),
        ("<courses></courses>", NoCourses),
        ("<courses/>", NoCourses),
        ("", NoCourses),
        ("<courses><course><cn>TEO-101</cn><title>T</title></course></courses>", NoCourses),
        (deep.as_str(), TooDeep),
    ] {
        assert_eq!(read(text).expect_err(text), error, "{text}");
    }
    for text in ["Service unavailable", "{\"error\":1}", "<courses><course></courses>", "<a></a><b></b>"] {
        assert!(matches!(read(text), Err(DocumentError::Malformed(_))), "{text}: {:?}", read(text));
    }
    // Wherever the end is missing. Of the first characters so much is missing that nothing was begun.
    for length in 1..whole.len() {
        assert_eq!(read(&whole[..length]).expect_err("half a document"), CutOff, "{}", &whole[..length]);
    }
}

#[test]
fn titles_are_chosen_by_term_then_frequency_then_alphabet() {
    let (old, new) = (term("Fall 2025"), term("Spring 2026"));
    let terms = [
        (
            new,
            vec![section("CSC 2", "B", &[]), section("CSC 2", "A", &[]), section("CSC 1", "Rare", &["Z Z"])],
        ),
        (
            old,
            vec![
                section("CSC 1", "Often", &["A A", "Z Z"]),
                section("CSC 1", "Often", &[]),
                section("CSC 2", "C", &[]),
                section("CSC 2", "C", &[]),
                section("CSC 3", "Y", &[]),
                section("CSC 3", "Z", &[]),
                section("CSC 3", "Z", &[]),
            ],
        ),
    ];
    let merged = merge(&terms);
    let seen: Vec<_> = merged
        .iter()
        .map(|one| (one.code.as_str(), one.titles.join(","), one.instructor.as_deref()))
        .collect();
    assert_eq!(
        seen,
        [
            ("CSC 1", "Rare,Often".to_owned(), Some("A A; Z Z")),
            ("CSC 2", "A,B,C".to_owned(), None),
            ("CSC 3", "Z,Y".to_owned(), None),
        ]
    );
    // Any order of terms and sections gives the same.
    let reversed: Vec<_> = terms
        .into_iter()
        .rev()
        .map(|(term, sections)| (term, sections.into_iter().rev().collect()))
        .collect();
    assert_eq!(merge(&reversed), merged);
}
