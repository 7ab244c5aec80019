//! Search in transcripts.

use bedel_jobs::lecture::search::index;
use bedel_jobs::lecture::search::passages::SearchRows;
use bedel_speech::Transcript;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answering, App, COURSE, viewer};

/// A completed lecture of `user` with this transcript, as after its commit.
async fn transcribed(app: &App, user: usize, title: &str, language: &str, said: &[(f64, &str)]) -> Uuid {
    let session = Uuid::new_v4();
    let body = json!({ "course_id": COURSE, "panopto_url": viewer(&session.to_string()), "title": title });
    let id = app.submit(user, &body).await.expect(201).id("lecture_id");
    app.set_completed(id).await;
    write(app, id, title, language, said).await;
    id
}

async fn write(app: &App, id: Uuid, title: &str, language: &str, said: &[(f64, &str)]) {
    let segments: Vec<Value> = said
        .iter()
        .map(|(start, text)| json!({ "start": start, "end": start + 4.5, "text": text }))
        .collect();
    let transcript: Transcript =
        serde_json::from_value(json!({ "language": language, "segments": segments })).unwrap();
    let mut tx = app.pool.begin().await.unwrap();
    index::replace(&mut tx, id, Some(title), &SearchRows::of(&transcript)).await.unwrap();
    tx.commit().await.unwrap();
}

fn path(query: &str, more: &str) -> String {
    let encoded: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    format!("/api/search?q={encoded}{more}")
}

async fn hits(app: &App, user: usize, query: &str) -> Vec<Value> {
    let page = app.get(user, &path(query, "")).await.expect(200).json();
    assert_eq!(page["next_cursor"], Value::Null, "{page}");
    page["hits"].as_array().unwrap().clone()
}

/// Starts of the hits.
async fn starts(app: &App, query: &str) -> Vec<f64> {
    hits(app, 0, query).await.iter().map(|hit| hit["start"].as_f64().unwrap()).collect()
}

const TIDES: [(f64, &str); 6] = [
    (0.0, "Good morning, today we talk about <tides> & waves."),
    (5.0, "The probability of a high tide depends on the moon."),
    (10.0, "Fourier had the idea."),
    (70.0, "We run the fast Fourier transform."),
    (75.0, "A transform that is fast needs no Fourier."),
    (140.0, "Running water, cold water, and the heat of the day."),
];

#[tokio::test]
async fn a_hit_has_the_moment_the_words_and_the_link() {
    let app = App::start().await;
    let id = transcribed(&app, 0, "Oceans 1", "en", &TIDES).await;
    let found = hits(&app, 0, "moon tides").await;
    let session = app.text("SELECT panopto_session_id FROM lectures WHERE id = $1", id).await.unwrap();
    assert_eq!(
        found,
        [json!({
            "lecture_id": id, "title": "Oceans 1", "course_id": COURSE, "start": 5.0, "end": 9.5, "in_title": false,
            "snippet": "Good morning, today we talk about &lt;<mark>tides</mark>&gt; &amp; waves. The probability of a high \
                        <mark>tide</mark> depends on the <mark>moon</mark>. Fourier had the idea.",
            "url": format!("{}&start=5", viewer(&session)),
        })]
    );
    let titled = hits(&app, 0, "oceans").await;
    assert_eq!(titled.len(), 1);
    assert_eq!((&titled[0]["in_title"], &titled[0]["start"]), (&json!(true), &json!(0.0)));
    assert_eq!(titled[0]["snippet"], "<mark>Oceans</mark> 1");
    assert!(titled[0]["url"].as_str().unwrap().ends_with("&start=0"));
}

#[tokio::test]
async fn words_phrases_prefixes_and_exclusions_find_what_they_say() {
    let app = App::start().await;
    transcribed(&app, 0, "Oceans 1", "en", &TIDES).await;
    for (query, expected) in [
        ("fourier ", vec![10.0, 70.0]),
        ("FOURIERS ", vec![10.0, 70.0]),
        ("\"fast fourier\"", vec![70.0]),
        ("\"fourier fast\"", vec![]),
        ("\"fast fourier transform\" run", vec![70.0]),
        ("fast-fourier ", vec![70.0]),
        ("running ", vec![70.0, 140.0]),
        ("probabili", vec![5.0]),
        ("probabili ", vec![]),
        ("probabili* moon ", vec![5.0]),
        ("trans", vec![70.0]),
        ("fourier -transform ", vec![10.0]),
        ("fourier -trans* ", vec![10.0]),
        ("fourier -\"fast fourier\" ", vec![10.0]),
        ("moon heat ", vec![]),
        ("the fourier ", vec![10.0, 70.0]),
        ("\"heat of the day\"", vec![140.0]),
        ("the of ", vec![]),
        ("absent", vec![]),
    ] {
        assert_eq!(starts(&app, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn each_lecture_is_searched_in_its_own_language() {
    let app = App::start().await;
    transcribed(&app, 0, "", "de", &[(3.0, "Die Vorlesungen über Wärmelehre beginnen. ÜBUNGEN folgen.")])
        .await;
    transcribed(&app, 0, "", "fr", &[(13.0, "Nous parlons des équations différentielles de l'analyse.")])
        .await;
    transcribed(&app, 0, "", "zh", &[(23.0, "今天我们学习傅里叶变换。")]).await;
    transcribed(&app, 0, "", "xx", &[(33.0, "Ni lernas pri matematiko.")]).await;
    transcribed(&app, 0, "", "hi", &[(43.0, "आज हम हिन्दी में गणित सीखते हैं")]).await;
    for (query, expected) in [
        ("vorlesung ", 3.0),
        ("übung ", 3.0),
        ("équation ", 13.0),
        ("analyse", 13.0),
        ("傅里叶", 23.0),
        ("matematiko ", 33.0),
        ("matem", 33.0),
        ("गणित", 43.0),
    ] {
        assert_eq!(starts(&app, query).await, [expected], "{query}");
    }
    // The characters in another order are another word.
    assert!(starts(&app, "里傅").await.is_empty());
    assert!(starts(&app, "lernos ").await.is_empty());
}

#[tokio::test]
async fn stop_words_of_another_language_hide_no_lecture() {
    let app = App::start().await;
    let id = transcribed(&app, 0, "History", "en", &[(0.0, "The war began.")]).await;
    // Newer ones, and more than a page reads. In German the word is a stop word.
    for number in 0..101 {
        transcribed(&app, 0, &format!("Physik {number}"), "de", &[(0.0, "Das war alles.")]).await;
    }
    let found = hits(&app, 0, "war ").await;
    assert_eq!(found.iter().map(|hit| hit["lecture_id"].clone()).collect::<Vec<_>>(), [json!(id)]);
}

#[tokio::test]
async fn a_phrase_is_found_across_the_ends_of_passages() {
    let app = App::start().await;
    let said: Vec<(f64, String)> = (0..60)
        .map(|n| {
            (f64::from(n) * 5.0, format!("w{n}a some words that take a while to say and nothing else w{n}z"))
        })
        .collect();
    let said: Vec<(f64, &str)> = said.iter().map(|(start, text)| (*start, text.as_str())).collect();
    transcribed(&app, 0, "", "en", &said).await;
    for n in 0..59 {
        assert_eq!(starts(&app, &format!("\"w{n}z w{}a\"", n + 1)).await, [f64::from(n) * 5.0]);
    }
    assert_eq!(hits(&app, 0, "\"nothing else\"").await.len(), 3, "one lecture does not fill the page");
}

#[tokio::test]
async fn no_text_makes_an_error_of_ours() {
    let app = App::start().await;
    transcribed(&app, 0, "Oceans", "en", &TIDES).await;
    transcribed(&app, 0, "", "zh", &[(0.0, "傅里叶 1e5 x'y \\z")]).await;
    for query in
        ["", " ", "*", "\"\"", "-heat", "!!!", "' ; -- ", "\u{0}", "😀", "-", "- - -", "\"", "&|!()<->:*"]
    {
        let refused = app.get(0, &path(query, "")).await.problem(422, "invalid");
        assert_eq!(refused["errors"][0]["field"], "q", "{query:?}");
    }
    app.get(0, "/api/search").await.problem(422, "invalid");
    let long = app.get(0, &path(&"é ".repeat(101), "")).await.problem(422, "invalid");
    assert_eq!(long["errors"][0]["code"], "too_long");
    for query in [
        "a",
        "a:*",
        "a' | 'b",
        "x\\",
        "'x",
        "x'",
        "x\u{0}y",
        "1e5*",
        "1e999",
        "<b>tag</b>",
        "http://a.b/c?d=e&f",
        "a@b.c",
        "C++",
        "fat:ab*",
        "!x",
        "x <-> y",
        "x <2> y",
        "((x",
        "\u{202e}abc",
        "傅*",
        "傅里 -叶",
        "é\u{301}\u{301}",
        "ﬀ",
        "İ",
        "ß*",
        "x -\"",
        "“x”",
        "a-b-c-d",
        "1.2.3.4",
        "-1 2",
        "x*y*z*",
        "$1",
        "NULL",
        "x\ty\nz",
        "\u{feff}x",
    ] {
        app.get(0, &path(query, "")).await.expect(200);
    }
    // Random text of characters that parsers treat specially.
    let alphabet: Vec<char> = "ab 'x\"*-\\:&|!()<>%é傅\u{0}1.\u{301}".chars().collect();
    let mut state = 42_u64;
    for _ in 0..400 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push(alphabet[usize::try_from(state >> 33).unwrap() % alphabet.len()]);
        }
        let status = app.get(0, &path(&text, "")).await.status.as_u16();
        assert!(status == 200 || status == 422, "{status} for {text:?}");
    }
}

#[tokio::test]
async fn only_ones_own_lectures_are_found_and_only_while_they_are() {
    let app = App::start().await;
    let mine = transcribed(&app, 0, "Mine", "en", &TIDES).await;
    let theirs = transcribed(&app, 1, "Theirs", "en", &TIDES).await;
    let lectures = async |user| -> Vec<Uuid> {
        let found = hits(&app, user, "moon ").await;
        found.iter().map(|hit| hit["lecture_id"].as_str().unwrap().parse().unwrap()).collect()
    };
    assert_eq!(lectures(0).await, [mine]);
    assert_eq!(lectures(1).await, [theirs]);
    app.anonymous(Method::GET, &path("moon", "")).answer().await.problem(401, "unauthenticated");
    let admins = app.admin(Method::GET, &path("moon", "")).answer().await.expect(200).json();
    assert_eq!(admins, json!({ "hits": [], "next_cursor": null }));

    // Both have it; one unlinks.
    app.execute(
        "INSERT INTO user_lectures (user_id, lecture_id)
         SELECT user_id, $1 FROM user_lectures WHERE lecture_id <> $1",
        mine,
    )
    .await;
    assert_eq!(lectures(1).await.len(), 2);
    app.delete(0, mine).await.expect(204);
    assert!(lectures(0).await.is_empty());
    assert_eq!(lectures(1).await.len(), 2);
    // The last link goes, and the rows with it.
    app.delete(1, mine).await.expect(204);
    assert_eq!(lectures(1).await, [theirs]);
    for count in [
        "SELECT count(*) FROM transcript_index WHERE lecture_id = $1",
        "SELECT count(*) FROM transcript_passages WHERE lecture_id = $1",
    ] {
        assert_eq!(app.count(count, mine).await, 0);
        assert!(app.count(count, theirs).await > 0);
    }
}

#[tokio::test]
async fn pages_hold_every_hit_once_newest_lecture_first() {
    let app = App::start().await;
    let mut made = Vec::new();
    for n in 0..7 {
        let title = format!("Lecture {n}");
        let said: Vec<(f64, &str)> =
            (0..5).map(|passage| (f64::from(passage) * 100.0, "Entropy grows.")).take(1 + n % 5).collect();
        made.push(transcribed(&app, 0, &title, "en", &said).await);
    }
    // They have the words far apart, so they match without a hit.
    for _ in 0..3 {
        transcribed(&app, 0, "", "en", &[(0.0, "Entropy."), (500.0, "It grows.")]).await;
    }
    let all = hits(&app, 0, "entropy grows ").await;
    let order: Vec<String> = all.iter().map(|hit| hit["title"].as_str().unwrap().to_owned()).collect();
    let expected = [6, 6, 5, 4, 4, 4, 3, 3, 3, 2, 2, 2, 1, 1, 0].map(|n| format!("Lecture {n}"));
    assert_eq!(order, expected);
    for limit in [1, 2, 3, 4, 7, 50] {
        let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let more = format!("&limit={limit}{cursor}");
            let page = app.get(0, &path("entropy grows ", &more)).await.expect(200).json();
            let hits = page["hits"].as_array().unwrap();
            assert!(hits.len() <= limit, "{page}");
            found.extend(hits.clone());
            pages += 1;
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
            assert!(pages < 30, "the pages do not end");
        }
        // A page with room for fewer hits shows fewer of each lecture.
        let shown = limit.min(3);
        let wanted: Vec<&Value> = all
            .iter()
            .filter(|hit| hit["start"].as_f64().unwrap() < 100.0 * f64::from(u32::try_from(shown).unwrap()))
            .collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), wanted, "{limit}");
    }
    for (query, field) in [
        ("&limit=0", "limit"),
        ("&limit=51", "limit"),
        ("&cursor=x", "cursor"),
        ("&course_id=1", "course_id"),
    ] {
        let refused = app.get(0, &path("entropy", query)).await.problem(422, "invalid");
        assert_eq!(refused["errors"][0]["field"], field, "{query}");
    }
}

#[tokio::test]
async fn a_course_limits_the_search_and_a_new_transcript_replaces_the_old_one() {
    let app = App::start().await;
    let id = transcribed(&app, 0, "Oceans", "en", &TIDES).await;
    let page = async |course: Uuid| {
        app.get(0, &path("moon", &format!("&course_id={course}"))).await.expect(200).json()
    };
    assert_eq!(page(COURSE.parse().unwrap()).await["hits"].as_array().unwrap().len(), 1);
    assert!(page(Uuid::new_v4()).await["hits"].as_array().unwrap().is_empty());
    write(&app, id, "Oceans", "en", &[(0.0, "Only the sun.")]).await;
    assert!(starts(&app, "moon ").await.is_empty());
    assert_eq!(starts(&app, "sun ").await, [0.0]);
}
