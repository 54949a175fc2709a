"""A small file for every id that reads one, in its official layout; see test_contract.py."""

import json
from pathlib import Path
from typing import Any

CANARY = "Zyxgate"
"""An answer that stands in no page and no question."""

CONTEXT: list[Any] = [
    ["Ada Brook", ["Ada Brook is a baker.", " Her mother is Cleo Dunn."]],
    ["Cleo Dunn", ["Cleo Dunn lives in Elmstead.", " She keeps bees."]],
    ["Elmstead", ["Elmstead lies on the Farrow."]],
    ["Elmstead", ["Elmstead is a song."]],
    ["Gil Hart", []],
]
HOTPOT_ASKED = (
    ("Where does the mother of Ada Brook live?", "Elmstead", [["Ada Brook", 1], ["Cleo Dunn", 0]]),
    ("Does Gil Hart keep bees?", "no", []),
    ("What does nobody know?", CANARY, [["Ada Brook", 0]]),
)
JSONL_ASKED = (
    {"answer": "Elmstead", "evidence": [{"shown_by": [["Ada Brook", 1]]}]},
    {"answers": [CANARY, "Cleo Dunn"], "answer_kind": "set"},
    {"answer": "3", "answer_kind": "number", "evidence": [{"shown_by": [["Cleo Dunn", None]]}]},
)
PEOPLE = (
    # name, gender, job, hobby, family as PhantomWiki writes it, father, friends
    ("Ada Brook", "female", "baker", "bees",
     ("The brother of Ada Brook is Bob Brook.", "The father of Ada Brook is Dan Brook."),
     "Dan Brook", ("Cleo Dunn",)),
    ("Bob Brook", "male", "smith", "owls",
     ("The sister of Bob Brook is Ada Brook.", "The father of Bob Brook is Dan Brook."),
     "Dan Brook", ()),
    ("Dan Brook", "male", "tailor", "chess",
     ("The son of Dan Brook is Bob Brook.", "The daughter of Dan Brook is Ada Brook."),
     None, ("Cleo Dunn",)),
    ("Cleo Dunn", "female", "miller", "knots", (), None, ("Ada Brook", "Dan Brook")),
)  # fmt: skip
ASKED_OF_PEOPLE = (
    ("Who is the father of Ada Brook?", ["Dan Brook"], ['father("Ada Brook", Y_2)'],
     "Who is|the|<relation>_1|of|<name>_2|?"),
    ("What is the hobby of the friend of Ada Brook?", ["knots"],
     ["hobby(Y_4, Y_2)", 'friend("Ada Brook", Y_4)'],
     "What is|the|<attribute_name>_1|of|the|<relation>_3|of|<name>_4|?"),
    ("Who is the friend of the person whose occupation is miller?", ["Ada Brook", "Dan Brook"],
     ["friend(Y_4, Y_2)", 'job(Y_4, "miller")'],
     "Who is|the|<relation>_3|of|the person whose|<attribute_name>_5|is|<attribute_value>_5|?"),
)  # fmt: skip


def hotpotqa_file(folder: Path) -> str:
    rows = [
        {"_id": f"id{i}", "question": text, "answer": answer, "supporting_facts": facts,
         "context": CONTEXT, "type": "bridge", "level": "hard"}
        for i, (text, answer, facts) in enumerate(HOTPOT_ASKED)
    ]  # fmt: skip
    (folder / "hotpot.json").write_text(json.dumps(rows))
    return str(folder / "hotpot.json")


def jsonl_file(folder: Path) -> str:
    documents = [
        {"id": f"{title} ({i})" if i == 3 else title, "title": title,
         "sentences": [text.strip() for text in sentences]}
        for i, (title, sentences) in enumerate(CONTEXT)
    ]  # fmt: skip
    questions = [
        {"id": f"id{i}", "question": f"Question number {i}?"} | asked
        for i, asked in enumerate(JSONL_ASKED)
    ]
    lines = map(json.dumps, [*documents, *questions])
    (folder / "own.jsonl").write_text("\n".join(lines))
    return str(folder / "own.jsonl")


def phantomwiki_folder(folder: Path) -> str:
    """Write a small universe in the three files that PhantomWiki leaves."""
    facts, articles = [], []
    for name, gender, job, hobby, family, father, friends in PEOPLE:
        own = {"dob": "0985-05-30", "job": job, "hobby": hobby, "gender": gender}
        facts += [f'type("{name}", person).']
        facts += [f'{relation}("{name}", "{value}").' for relation, value in own.items()]
        facts += [f'parent("{name}", "{father}").'] if father else []
        facts += [f'friend_("{name}", "{friend}").' for friend in friends if name < friend]
        some = "friend of {} is {}" if len(friends) == 1 else "friends of {} are {}"
        known = [f"The {some.format(name, ', '.join(friends))}."] if friends else []
        words = ("date of birth", "occupation", "hobby", "gender")
        told = [f"The {w} of {name} is {v}." for w, v in zip(words, own.values(), strict=True)]
        article = [f"# {name}\n", "## Family", *family, "\n## Friends", *known]
        article += ["\n## Attributes", *told, ""]
        articles.append({"title": name, "article": "\n".join(article), "facts": []})
    questions = [
        {"id": f"id{i}", "question": text, "solution_traces": "[]", "answer": answers,
         "prolog": {"query": query, "answer": "Y_2"}, "template": template.split("|"),
         "type": i, "difficulty": len(query), "is_aggregation_question": False}
        for i, (text, answers, query, template) in enumerate(ASKED_OF_PEOPLE)
    ]  # fmt: skip
    (folder / "articles.json").write_text(json.dumps(articles))
    (folder / "questions.json").write_text(json.dumps(questions))
    (folder / "facts.pl").write_text("\n".join(facts) + "\n")
    return str(folder)


def passages() -> list[tuple[str, str]]:
    return [(title, "".join(sentences)) for title, sentences in CONTEXT]


def twowiki_file(folder: Path) -> str:
    rows = [
        {"_id": f"id{i}", "question": text, "answer": answer, "supporting_facts": facts,
         "context": CONTEXT, "type": "compositional", "entity_ids": "Q1_Q2",
         "evidences": [["Ada Brook", "mother", "Cleo Dunn"]] if facts else [],
         "evidences_id": [["Q1", "mother", "Q2"]] if facts else [], "answer_id": None}
        for i, (text, answer, facts) in enumerate(HOTPOT_ASKED)
    ]  # fmt: skip
    (folder / "twowiki.json").write_text(json.dumps(rows))
    return str(folder / "twowiki.json")


def musique_file(folder: Path) -> str:
    gold = {"Ada Brook": 0, "Cleo Dunn": 1}
    rows = []
    for i, (text, answer, facts) in enumerate(HOTPOT_ASKED):
        used = [gold[title] for title, _ in facts]
        paragraphs = [
            {"idx": idx, "title": title, "paragraph_text": page, "is_supporting": idx in used}
            for idx, (title, page) in enumerate(passages())
        ]
        steps = [
            {"id": n, "question": f"step {n}?", "answer": answer, "paragraph_support_idx": idx}
            for n, idx in enumerate(used)
        ]
        rows.append({
            "id": f"2hop__{i}_{i}", "paragraphs": paragraphs, "question": text, "answer": answer,
            "question_decomposition": steps, "answer_aliases": [], "answerable": True,
        })  # fmt: skip
    (folder / "musique.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(folder / "musique.jsonl")


def cofca_file(folder: Path) -> str:
    rows = [
        {"_id": "5a", "type": ["2-hop"], "question": text, "answer": answer, "context": CONTEXT,
         "sub_questions": ["Who is her mother?", text], "sub_answers": ["Cleo Dunn", answer]}
        for text, answer, _ in HOTPOT_ASKED
    ]  # fmt: skip
    (folder / "cofca.json").write_text(json.dumps(rows))
    return str(folder / "cofca.json")


def beerqa_file(folder: Path) -> str:
    data = [
        {"id": f"id{i}", "src": "hotpotqa", "answers": [answer], "question": text,
         "context": passages()[:-1]}
        for i, (text, answer, _) in enumerate(HOTPOT_ASKED)
    ]  # fmt: skip
    content = {"version": "1.0", "split": "dev", "data": data}
    (folder / "beerqa.json").write_text(json.dumps(content))
    return str(folder / "beerqa.json")


SUMS = (
    ("Ada has 16 eggs and eats 3. How many are left?", "16-3", "13", "13"),
    ("Ada sells 12 lamps for $4 each. What does she get?", "12*4", "48", "48"),
    ("Bees fill 9 jars of 1,500 drops. How many drops?", "9*1500", "13500", "13,500"),
)


def gsm8k_file(folder: Path) -> str:
    rows = [
        {"question": text, "answer": f"That is {made} = <<{made}={value}>>{value}.\n#### {answer}"}
        for text, made, value, answer in SUMS
    ]
    (folder / "gsm8k.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(folder / "gsm8k.jsonl")


def synthworlds_file(folder: Path) -> str:
    docs = [f"{title}\n{page}" for title, page in passages()[:-1]]
    rows = [
        {"instance_id": f"rm-{i}", "query": text, "gold_answers": [answer], "gold_docs": docs,
         "gold_qids": ["Q1"], "question_graph_type": "2-hop chain",
         "expected_output_is_time": False, "mhop_qa": "{}"}
        for i, (text, answer, _) in enumerate(HOTPOT_ASKED)
    ]  # fmt: skip
    (folder / "synthworlds.json").write_text(json.dumps(rows))
    return str(folder / "synthworlds.json")


FILES = {
    "hopgym/HotpotQA-v0": hotpotqa_file,
    "hopgym/TwoWiki-v0": twowiki_file,
    "hopgym/MuSiQue-v0": musique_file,
    "hopgym/CofCA-v0": cofca_file,
    "hopgym/BeerQA-v0": beerqa_file,
    "hopgym/GSM8K-v0": gsm8k_file,
    "hopgym/SynthWorlds-v0": synthworlds_file,
    "hopgym/Jsonl-v0": jsonl_file,
    "hopgym/PhantomWiki-v0": phantomwiki_folder,
}
"""The ids that read a file, and what writes one for them."""
