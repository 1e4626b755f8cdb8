"""The documents that are loaded: recorded lists, and larger ones of the same shape."""

import gzip
import json
import tarfile
from pathlib import Path

from common import LIST, ROOT, TARGET

DAYS = ROOT / 'tests/catalogues/daily.tar.xz'
FOLDER = TARGET / 'database'
# two recorded days in a row: 48 models changed, and one left
DAY, NEXT_DAY = '2026-01-13', '2026-01-14'
# the models of a list; the last is the limit. Days have as many, but 348 instead of 421
SIZES = [421, 2000, 10000]


def recorded_days():
    with tarfile.open(DAYS) as archive:
        members = sorted((m for m in archive.getmembers() if m.isfile()), key=lambda m: m.name)
        return {Path(m.name).stem: archive.extractfile(m).read().decode() for m in members}


def write_documents():
    """Writes the lists and pairs of days that are measured into files."""
    days = recorded_days()
    newest = json.loads(gzip.decompress(LIST.read_bytes()))['data']
    day, next_day = json.loads(days[DAY])['data'], json.loads(days[NEXT_DAY])['data']
    for size in SIZES:
        for name, data, first in (('list', newest, newest), ('day', day, day), ('next', next_day, day)):
            text = json.dumps({'data': enlarge(data, first, size)}, ensure_ascii=False, separators=(',', ':'))
            (FOLDER / f'{name}-{size}.json').write_text(text)


def enlarge(data, first, size):
    """Repeats entries with other ids; the last copy has only some. Both days have the same copies of a model."""
    if size == SIZES[0]:
        return data
    copies, rest = divmod(size, len(first))
    some = set(sorted(entry['id'] for entry in first)[:rest])
    return [renamed(entry, copy) for copy in range(copies + 1) for entry in data if copy < copies or entry['id'] in some]


def renamed(entry, copy):
    name, *variant = entry['id'].split(':')
    return {**entry, 'id': ':'.join([f'{name}-copy{copy}', *variant])}


def size_of(file):
    """The models and the bytes of a document."""
    body = file.read_bytes()
    return len(json.loads(body)['data']), len(body)


def store(session, folder):
    """Puts the files of a folder into a table, where every statement finds them."""
    session.run('CREATE TABLE document (name text PRIMARY KEY, body text NOT NULL);'
                'ALTER TABLE document ALTER body SET STORAGE EXTERNAL;')
    for file in sorted(folder.glob('*.json')):
        session.run(f"\\set body `cat {file}`\nINSERT INTO document VALUES ('{file.stem}', :'body');\n\\unset body")


APPROVE = """UPDATE model_access SET status = 'active', is_free = true WHERE model_id LIKE '%:free';
UPDATE model_access SET status = 'active', is_pro = hashtext(model_id) % 2 = 0, is_enterprise = hashtext(model_id) % 2 <> 0
WHERE NOT is_free AND hashtext(model_id) % 10 <> 0;"""
