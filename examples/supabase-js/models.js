// The models that the holder of an access token may use, one a line.
//   node supabase-js/models.js
import { createClient } from '@supabase/supabase-js'

const { SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY, ACCESS_TOKEN } = process.env

// in a browser supabase.auth holds the user's token, and the third argument is not needed
const supabase = createClient(SUPABASE_URL, SUPABASE_PUBLISHABLE_KEY, { accessToken: async () => ACCESS_TOKEN })

const { data, error } = await supabase.rpc('models_for_me')
// an error is an error, never an empty list
if (error) throw new Error(error.message, { cause: error })
for (const id of data.map((model) => model.model_id).sort()) console.log(id)
