CREATE EXTENSION model_access SCHEMA :"schema";
