\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
SELECT outcome FROM model_access_load(pg_temp.listing('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5-nano', 'anthropic/claude-opus-4.1', 'anthropic/claude-opus-4', 'google/gemini-2.5-pro'));
UPDATE model_access SET status = 'active', is_free = true WHERE model_id = 'openai/gpt-5-nano';
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id = 'openai/gpt-5-mini';
UPDATE model_access SET status = 'active', is_enterprise = true WHERE provider = 'anthropic';
UPDATE model_access SET status = 'active' WHERE model_id = 'openai/gpt-5';
CREATE TABLE profiles (id uuid PRIMARY KEY, subscription_tier text);
ALTER TABLE profiles OWNER TO :"owner";
INSERT INTO profiles VALUES ('00000000-0000-0000-0000-00000000000f', 'free'), ('00000000-0000-0000-0000-0000000000aa', 'pro'), ('00000000-0000-0000-0000-0000000000ee', 'enterprise');
\set free '00000000-0000-0000-0000-00000000000f'
\set pro '00000000-0000-0000-0000-0000000000aa'
\set enterprise '00000000-0000-0000-0000-0000000000ee'
-- Overrides may exist before the binding, in any spelling of the user id.
INSERT INTO model_access_override (user_id, model_id, allowed) VALUES (upper(:'pro'), 'openai/gpt-5-nano', false);
SELECT model_access_bind_profiles('profiles');
SELECT user_id FROM model_access_override;
SELECT u.user_id, m.model_id FROM (VALUES (:'free'), (:'pro'), (:'enterprise'), ('nobody')) AS u(user_id), models_for_user(u.user_id) AS m ORDER BY 1, 2;
-- Deny beats allow beats tier. A provider stands for each of its models. No override shows a model that is not active.
INSERT INTO model_access_override (user_id, provider, allowed, note) VALUES (:'free', 'anthropic', true, 'a trial');
INSERT INTO model_access_override (user_id, model_id, allowed, expires_at) VALUES (:'free', 'anthropic/claude-opus-4', false, '2100-01-01');
INSERT INTO model_access_override (user_id, model_id, allowed) VALUES (:'free', 'openai/gpt-5', true), (:'free', 'google/gemini-2.5-pro', true);
INSERT INTO model_access_override (user_id, provider, allowed) VALUES (:'enterprise', 'openai', false);
INSERT INTO model_access_override (user_id, model_id, allowed) VALUES (:'enterprise', 'openai/gpt-5-mini', true);
-- Several overrides for one model, or for one provider.
INSERT INTO model_access_override (user_id, model_id, allowed) VALUES (:'pro', 'openai/gpt-5-mini', false), (:'pro', 'openai/gpt-5-mini', true);
INSERT INTO model_access_override (user_id, provider, allowed) VALUES (:'pro', 'google', true), (:'pro', 'google', false);
-- An unknown user stays unknown, whatever overrides say.
INSERT INTO model_access_override (user_id, model_id, allowed) VALUES ('00000000-0000-0000-0000-000000000000', 'openai/gpt-5-nano', true);
SELECT u.who, m.model_id, a.allowed, e.allowed = a.allowed AND a.allowed = l.listed AS agree, regexp_replace(e.reason, '\d{4}-.*', 'DAY') AS reason
FROM (VALUES ('enterprise', :'enterprise'), ('free', upper(:'free')), ('pro', :'pro'), ('unknown', '00000000-0000-0000-0000-000000000000')) AS u(who, user_id)
CROSS JOIN (SELECT model_id FROM model_access UNION VALUES ('openai/gpt-5:nitro'), (NULL)) AS m
CROSS JOIN LATERAL (SELECT model_allowed_for_user(u.user_id, m.model_id) AS allowed) AS a
CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM models_for_user(u.user_id) AS v WHERE v.model_id = m.model_id) AS listed) AS l
CROSS JOIN LATERAL model_access_explain_for_user(u.user_id, m.model_id) AS e
ORDER BY u.who, m.model_id COLLATE "C";
-- Overrides outside their time do not apply. valid_until says when the answer changes by itself.
DELETE FROM model_access_override;
SELECT known, tier, valid_until FROM model_access_user(:'free');
INSERT INTO model_access_override (user_id, model_id, allowed, starts_at, expires_at) VALUES
    (:'free', 'openai/gpt-5', true, NULL, now() - interval '1 second'),
    (:'free', 'openai/gpt-5-mini', true, now() + interval '1 hour', NULL),
    (:'free', 'anthropic/claude-opus-4', true, now() - interval '1 hour', now() + interval '2 hours');
SELECT model_id FROM models_for_user(:'free') ORDER BY 1;
SELECT valid_until BETWEEN now() + interval '59 minutes' AND now() + interval '1 hour' AS starts FROM model_access_user(:'free');
UPDATE model_access_override SET starts_at = NULL WHERE model_id = 'openai/gpt-5-mini';
SELECT model_id FROM models_for_user(:'free') ORDER BY 1;
SELECT valid_until > now() + interval '1 hour' AS ends FROM model_access_user(:'free');
UPDATE model_access_override SET expires_at = 'infinity' WHERE model_id = 'anthropic/claude-opus-4';
SELECT u.valid_until, e.reason FROM model_access_user(:'free') AS u, model_access_explain_for_user(:'free', 'anthropic/claude-opus-4') AS e;
-- Invalid overrides are refused.
INSERT INTO model_access_override (user_id, allowed) VALUES (:'free', true);
INSERT INTO model_access_override (user_id, model_id, provider, allowed) VALUES (:'free', 'openai/gpt-5', 'openai', true);
INSERT INTO model_access_override (user_id, model_id, allowed) VALUES (:'free', 'openai/gpt-6', true);
INSERT INTO model_access_override (user_id, provider, allowed) VALUES (:'free', 'opanai', true);
INSERT INTO model_access_override (user_id, model_id, allowed) VALUES ('alice', 'openai/gpt-5', true);
INSERT INTO model_access_override (user_id, model_id, allowed) VALUES (NULL, 'openai/gpt-5', true);
INSERT INTO model_access_override (user_id, model_id) VALUES (:'free', 'openai/gpt-5');
INSERT INTO model_access_override (user_id, model_id, allowed, starts_at, expires_at) VALUES (:'free', 'openai/gpt-5', true, '2026-02-02', '2026-02-01');
UPDATE model_access_override SET user_id = 'alice' WHERE model_id = 'openai/gpt-5-mini';
-- The history has overrides before and after each change.
SELECT model_id, right(user_id, 2) AS "user", actor, old #>> '{override,allowed}' AS old, new #>> '{override,allowed}' AS new, coalesce(new, old) #>> '{override,provider}' AS provider
FROM model_access_history WHERE user_id IS NOT NULL ORDER BY history_id LIMIT 14;
UPDATE model_access_override SET allowed = allowed;
SELECT model_id, old #> '{override,starts_at}' <> 'null' AS started, new #> '{override,starts_at}' = 'null' AS at_once FROM model_access_history WHERE old ? 'override' AND new ? 'override' ORDER BY history_id;
-- A change of an override is not a change of the model.
SELECT count(*) FROM models_for_tier_as_of('enterprise', clock_timestamp());
-- A request through a gateway: a role with rights user and nothing else.
CREATE ROLE regress_anon;
CREATE ROLE regress_authenticated;
SELECT model_access_grant('regress_anon', 'user'), model_access_grant('regress_authenticated', 'user');
SET ROLE regress_authenticated;
SELECT model_id FROM models_for_me();
SET request.jwt.claims = '{"sub": "00000000-0000-0000-0000-0000000000AA", "role": "regress_authenticated"}';
SELECT model_id FROM models_for_me() ORDER BY 1;
-- If request.jwt.claims is set, only that counts.
SET request.jwt.claim.sub = '00000000-0000-0000-0000-0000000000ee';
SELECT count(*) FROM models_for_me();
SET request.jwt.claims = '{"role": "regress_anon"}';
SELECT count(*) FROM models_for_me();
SET request.jwt.claims = '';
SELECT count(*) FROM models_for_me();
RESET request.jwt.claim.sub;
SELECT count(*) FROM models_for_me();
SET request.jwt.claims = '{"sub": ';
SELECT count(*) FROM models_for_me();
SET request.jwt.claims = '["00000000-0000-0000-0000-0000000000aa"]';
SELECT count(*) FROM models_for_me();
SET request.jwt.claims = '{"sub": {"id": 1}}';
SELECT count(*) FROM models_for_me();
SELECT models_for_user('00000000-0000-0000-0000-0000000000aa');
SELECT models_for_tier('free');
SELECT model_access_user('00000000-0000-0000-0000-0000000000aa');
SELECT count(*) FROM model_access_override;
SET ROLE regress_anon;
SELECT count(*) FROM models_for_me();
RESET ROLE;
-- admin: writes overrides, but not under the name of another role.
CREATE ROLE regress_admin;
SELECT model_access_grant('regress_admin', 'admin');
SET ROLE regress_admin;
INSERT INTO model_access_override (user_id, model_id, allowed) VALUES (:'pro', 'openai/gpt-5', true) RETURNING created_by;
UPDATE model_access_override SET note = 'mine' WHERE user_id = :'pro';
INSERT INTO model_access_override (user_id, model_id, allowed, created_by) VALUES (:'pro', 'openai/gpt-5', true, 'somebody else');
UPDATE model_access_override SET created_at = now();
SELECT model_access_bind_profiles('profiles');
SELECT model_access_unbind_profiles();
TRUNCATE model_access_override;
SELECT actor_role, new #>> '{override,note}' AS note FROM model_access_history WHERE user_id = :'pro' ORDER BY history_id DESC LIMIT 2;
DELETE FROM model_access_override WHERE user_id = :'pro';
RESET ROLE;
SELECT model_access_revoke('regress_admin'), model_access_revoke('regress_anon'), model_access_revoke('regress_authenticated');
DROP OWNED BY regress_anon, regress_authenticated, regress_admin;
DROP ROLE regress_anon, regress_authenticated, regress_admin;
