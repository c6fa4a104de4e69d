CREATE SCHEMA neural;
CREATE FUNCTION neural.probe(a int) RETURNS int LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'probe_wrapper';
