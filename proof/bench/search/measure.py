#!/usr/bin/env python3
"""Measures GET /api/search over HTTP among 10,000 lectures of an hour, one request at a time.

    measure.py API_URL DATABASE_URL

Loads lectures.sql first, unless the database has it. Each row is 60 requests with different words, after ten others.
"""

import hashlib
import json
import pathlib
import re
import statistics
import subprocess
import sys
import time
import urllib.parse
import urllib.request

USERS = {1: 50, 2: 300, 3: 1_000, 4: 10_000}
REQUESTS, WARM_UP = 60, 10


def sql(database, text):
    command = ["psql", "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", database]
    return subprocess.run(command, input=text, check=True, capture_output=True, text=True).stdout.split("\n")[:-1]


def load(database):
    if sql(database, "SELECT to_regclass('bench_words')") == [""]:
        print("loading 10,000 lectures (about ten minutes)", file=sys.stderr)
        sql(database, (pathlib.Path(__file__).parent / "lectures.sql").read_text())
    for user in USERS:
        sha256 = hashlib.sha256(f"bedel_api_bench{user}".encode()).hexdigest()
        sql(
            database,
            f"""INSERT INTO api_tokens (user_id, name, scope, sha256)
                VALUES (md5('user{user}')::uuid, 'bench', 'read', '\\x{sha256}') ON CONFLICT DO NOTHING""",
        )


def queries(database):
    """Texts of each sort, from the vocabulary and from what was said."""
    count = REQUESTS + WARM_UP

    def words(ranks):
        return sql(database, f"SELECT DISTINCT ON (rank) word FROM bench_words WHERE rank IN ({ranks}) ORDER BY rank")

    step = lambda first, every: ",".join(str(first + n * every) for n in range(count))
    common, middle, rare = words(step(101, 2)), words(step(1_000, 20)), words(step(20_000, 300))
    said = sql(
        database,
        f"""SELECT texts[3] FROM transcript_passages
            WHERE lecture_id IN (SELECT lecture_id FROM user_lectures WHERE user_id = md5('user1')::uuid)
              AND number = 7 + hashtext(lecture_id::text) % 3 ORDER BY lecture_id LIMIT {count}""",
    )
    phrases = [re.sub(r"^(\S+ \S+ )((?:\S+ ){2}\S+).*$", r'"\2"', text) for text in said]
    pick = lambda made: (made * (count // len(made) + 1))[:count]
    return {
        "a common word (in 95 % of lectures and more)": [word + " " for word in common],
        "a word in half of the lectures": [word + " " for word in middle],
        "a rare word": [word + " " for word in rare],
        "a word in four lectures": [f"zyx{n * 40 + 200} " for n in range(count)],
        "a word in none": [f"qqq{n} " for n in range(count)],
        "two common words": [f"{one} {other} " for one, other in zip(common, common[1:] + common[:1])],
        "a phrase that was said": pick(phrases),
        "a phrase of common words, hardly ever said": [f'"{one} {two} {three}"' for one, two, three in
                                                       zip(common, common[5:] + common[:5], common[9:] + common[:9])],
        "a prefix of four letters": [word[:4] for word in middle],
        "a prefix of three letters": [word[:3] for word in middle],
        "a common word without another": [f"{one} -{other} " for one, other in zip(common, middle)],
    }


def ask(api, user, query, cursor=None):
    fields = {"q": query} | ({"cursor": cursor} if cursor else {})
    url = f"{api}/api/search?{urllib.parse.urlencode(fields)}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer bedel_api_bench{user}"})
    start = time.perf_counter()
    with opener.open(request, timeout=60) as answer:
        page = json.load(answer)
    return (time.perf_counter() - start) * 1000, page


opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def main(api, database):
    load(database)
    made = queries(database)
    print("| query | lectures of the user | hits, mean | p50, ms | p95, ms | longest, ms |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    everything = []
    for name, texts in made.items():
        for user, lectures in USERS.items():
            answers = [ask(api, user, text) for text in texts][WARM_UP:]
            took = sorted(milliseconds for milliseconds, _ in answers)
            everything += took
            hits = statistics.mean(len(page["hits"]) for _, page in answers)
            p95 = took[int(len(took) * 0.95)]
            print(f"| {name} | {lectures:,} | {hits:.1f} | {took[len(took) // 2]:.1f} | {p95:.1f} | {took[-1]:.1f} |", flush=True)
    everything.sort()
    p50, p95 = everything[len(everything) // 2], everything[int(len(everything) * 0.95)]
    print(f"| all | | | {p50:.1f} | {p95:.1f} | {everything[-1]:.1f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
