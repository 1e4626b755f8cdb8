// The models that a user may use, one a line. With the name of a model: whether he may use that one.
//   node node-postgres/models.js USER [MODEL]
import pg from 'pg'

const [userId, model] = process.argv.slice(2)

// PGHOST, PGUSER, PGPASSWORD and PGDATABASE say where; an error is an error, never an empty list
const client = new pg.Client({ connectionTimeoutMillis: 5000 })
await client.connect()
try {
  if (model) {
    const { rows } = await client.query('SELECT model_allowed_for_user($1, $2) AS allowed', [userId, model])
    console.log(`${userId} may ${rows[0].allowed ? '' : 'not '}use ${model}`)
    process.exitCode = rows[0].allowed ? 0 : 1
  } else {
    const { rows } = await client.query('SELECT model_id FROM models_for_user($1) ORDER BY model_id', [userId])
    for (const row of rows) console.log(row.model_id)
  }
} finally {
  await client.end()
}
