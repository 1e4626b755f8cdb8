"""GET /api/models: what the bearer of a token may use. POST /api/chat: asks first whether he may use this one."""

import os
from typing import Annotated

import jwt
import psycopg
from fastapi import Body, Depends, FastAPI, HTTPException, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from psycopg_pool import ConnectionPool

SECRET, AUDIENCE = os.environ["JWT_SECRET"], os.environ["JWT_AUDIENCE"]
# PGHOST, PGUSER, PGPASSWORD and PGDATABASE say where; without reconnect_timeout, the pauses between attempts to connect
# grow to minutes in an outage
pool = ConnectionPool(open=True, max_size=10, timeout=5, reconnect_timeout=5, check=ConnectionPool.check_connection)
app = FastAPI()


def query(sql: str, *parameters: str) -> list[dict]:
    try:
        with pool.connection() as db, db.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            return cursor.execute(sql, parameters).fetchall()
    except psycopg.OperationalError as error:
        raise HTTPException(503, "the database does not answer", {"Retry-After": "5"}) from error


def user(token: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> str:
    try:
        return jwt.decode(token.credentials, SECRET, ["HS256"], {"require": ["exp", "sub"]}, audience=AUDIENCE)["sub"]
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "invalid token", {"WWW-Authenticate": 'Bearer error="invalid_token"'}) from error


# def, not async def: these run in threads of FastAPI's, where psycopg may wait
@app.get("/api/models")
def models(user_id: Annotated[str, Depends(user)], response: Response):
    response.headers.update({"Cache-Control": "private, no-cache", "Vary": "Authorization"})
    return {"data": query("SELECT model_id, name, pricing FROM models_for_user(%s) ORDER BY model_id", user_id)}


@app.post("/api/chat")
def chat(user_id: Annotated[str, Depends(user)], model: Annotated[str, Body(embed=True)]):
    if not query("SELECT model_allowed_for_user(%s, %s) AS allowed", user_id, model)[0]["allowed"]:
        raise HTTPException(403, f"you may not use {model}")
    return {"model": model}  # here the application asks OpenRouter
