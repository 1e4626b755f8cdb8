"""The models that a user may use, one a line. With the name of a model: whether he may use that one.

python psycopg/models.py USER [MODEL]
"""

import sys

import psycopg

user_id, *model = sys.argv[1:]

# PGHOST, PGUSER, PGPASSWORD and PGDATABASE say where; an error is an error, never an empty list
with psycopg.connect(connect_timeout=5) as db:
    if model:
        (allowed,) = db.execute("SELECT model_allowed_for_user(%s, %s)", [user_id, model[0]]).fetchone()
        print(f"{user_id} may {'' if allowed else 'not '}use {model[0]}")
        sys.exit(0 if allowed else 1)
    for (model_id,) in db.execute("SELECT model_id FROM models_for_user(%s) ORDER BY model_id", [user_id]):
        print(model_id)
