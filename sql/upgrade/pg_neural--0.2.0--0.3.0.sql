\echo Use "ALTER EXTENSION pg_neural UPDATE TO '0.3.0'" to load this file. \quit
