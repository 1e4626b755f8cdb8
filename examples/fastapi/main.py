"""GET /api/models: what the bearer of a token may use. POST /api/chat: asks first whether he may use this one."""

import os
from typing import Annotated

import jwt
import psycopg
from fastapi import Body, Depends, FastAPI, HTTPException, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from psycopg_pool import ConnectionPool

app = FastAPI()
# PGHOST, PGUSER, PGPASSWORD and PGDATABASE say where; reconnect_timeout: back at once when the database is
pool = ConnectionPool(open=True, max_size=10, timeout=5, reconnect_timeout=5, check=ConnectionPool.check_connection)


def query(sql: str, *parameters: str) -> list[dict]:
    try:
        with pool.connection() as db, db.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            return cursor.execute(sql, parameters).fetchall()
    except psycopg.OperationalError as error:
        raise HTTPException(503, "the database does not answer", {"Retry-After": "5"}) from error


def bearer(token: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> str:
    key, audience, claims = os.environ["JWT_SECRET"], os.environ["JWT_AUDIENCE"], ["exp", "sub", "aud"]
    try:
        return jwt.decode(token.credentials, key, ["HS256"], {"require": claims}, audience=audience)["sub"]
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "invalid token", {"WWW-Authenticate": 'Bearer error="invalid_token"'}) from error


@app.get("/api/models")
def models(user_id: Annotated[str, Depends(bearer)], response: Response):
    response.headers.update({"Cache-Control": "private, no-cache", "Vary": "Authorization"})
    return {"data": query("SELECT model_id, name, context_length, pricing FROM models_for_user(%s) ORDER BY name", user_id)}


@app.post("/api/chat")
def chat(user_id: Annotated[str, Depends(bearer)], model: Annotated[str, Body(embed=True)]):
    if not query("SELECT model_allowed_for_user(%s, %s) AS allowed", user_id, model)[0]["allowed"]:
        raise HTTPException(403, f"you may not use {model}")
    return {"model": model}  # here the application asks OpenRouter
