"""Stands in for PostgREST, which is in no package registry: what PostgREST does for rpc('name'), and nothing more.

It verifies the HS256 token, takes the role it names for one transaction, sets request.jwt.claims, calls the function
and answers in JSON. Prints the URL that supabase-js is given; PG* variables and JWT_SECRET are its configuration.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import psycopg
from psycopg import sql


def call(function: str, claims: dict) -> str:
    with psycopg.connect() as db:
        settings = "SELECT set_config('role', %s, true), set_config('request.jwt.claims', %s, true)"
        db.execute(settings, [claims["role"], json.dumps(claims)])
        rows = sql.SQL("SELECT coalesce(json_agg(r), '[]')::text FROM {}() AS r").format(sql.Identifier(function))
        return db.execute(rows).fetchone()[0]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            # like PostgREST without jwt-aud: any audience
            claims = jwt.decode(token, os.environ["JWT_SECRET"], ["HS256"], {"verify_aud": False, "require": ["role"]})
            self.answer(200, call(self.path.removeprefix("/rest/v1/rpc/"), claims))
        except jwt.InvalidTokenError as error:
            self.answer(401, json.dumps({"code": "PGRST301", "message": str(error)}))
        except psycopg.errors.InsufficientPrivilege as error:
            self.answer(403, json.dumps({"code": error.sqlstate, "message": error.diag.message_primary}))
        except psycopg.OperationalError as error:
            self.answer(503, json.dumps({"code": "PGRST000", "message": str(error)}))

    def answer(self, status: int, body: str):
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.end_headers()
        self.wfile.write(body.encode())


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
