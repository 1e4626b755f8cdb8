\getenv from MODEL_ACCESS_FROM
\if :{?from}
CREATE EXTENSION model_access SCHEMA :"schema" VERSION :'from';
ALTER EXTENSION model_access UPDATE;
\else
CREATE EXTENSION model_access SCHEMA :"schema";
\endif
