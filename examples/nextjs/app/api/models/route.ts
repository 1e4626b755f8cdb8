// GET /api/models: what the bearer of a token may use.
import assert from 'node:assert'
import { jwtVerify } from 'jose'
import { DatabaseError, Pool } from 'pg'

// PGHOST, PGUSER, PGPASSWORD and PGDATABASE say where
const pool = new Pool({ connectionTimeoutMillis: 5000, query_timeout: 5000 })
// the pool replaces an idle connection that breaks; unheard, its error would be an uncaught exception
pool.on('error', (error) => console.error(error.message))

const refuse = (status: number, detail: string, headers: HeadersInit) => Response.json({ detail }, { status, headers })

async function userOf(token: string) {
  const { JWT_SECRET, JWT_AUDIENCE: audience } = process.env
  assert(JWT_SECRET && audience, 'JWT_SECRET and JWT_AUDIENCE must be set')
  const options = { algorithms: ['HS256'], audience, requiredClaims: ['exp', 'sub'] }
  const verified = await jwtVerify(token, new TextEncoder().encode(JWT_SECRET), options).catch(() => null)
  return verified?.payload.sub
}

export async function GET(request: Request) {
  const token = request.headers.get('authorization')?.match(/^Bearer +(\S+)$/i)?.[1]
  if (!token) return refuse(401, 'a token is needed', { 'WWW-Authenticate': 'Bearer' })
  const userId = await userOf(token)
  if (typeof userId !== 'string')
    return refuse(401, 'invalid token', { 'WWW-Authenticate': 'Bearer error="invalid_token"' })
  try {
    const sql = 'SELECT model_id, name, pricing FROM models_for_user($1) ORDER BY model_id'
    const { rows: data } = await pool.query(sql, [userId])
    return Response.json({ data }, { headers: { 'Cache-Control': 'private, no-cache', Vary: 'Authorization' } })
  } catch (error) {
    // refused by a server that is up: a mistake here, not an outage
    if (error instanceof DatabaseError && !/^(08|53|57)/.test(error.code ?? '')) throw error
    return refuse(503, 'the database does not answer', { 'Retry-After': '5' })
  }
}
