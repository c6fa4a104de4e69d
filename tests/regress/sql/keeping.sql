-- The catalog: rights, names, deployments, and the type for roles. The rows are written by hand,
-- so that nothing here depends on a training.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
SET client_min_messages = warning;
CREATE ROLE keeping_owner;
CREATE ROLE keeping_grantee;
CREATE ROLE keeping_other;
CREATE ROLE "keeping ""odd""";
SET client_min_messages = notice;

-- A role prints as its quoted name; unknown ones are nobody, never another role.
SELECT 'keeping_owner'::_neural.role, '"keeping ""odd"""'::_neural.role, 'keeping_nobody'::_neural.role,
       'public'::_neural.role, 'none'::_neural.role, '?16384'::_neural.role, 77::oid::_neural.role;

INSERT INTO _neural.numbering VALUES ('risk', 3);
INSERT INTO _neural.model (id, name, owner, deployed, signature, positive_class)
VALUES (-1, 'risk', 'keeping_owner', -3, '{"task": "classification", "features": []}', 'bad');
INSERT INTO _neural.version (id, model, number, sha256, size_bytes, created_by, extension_version,
                            target, classes, features, architecture, parameters, query, options)
SELECT -n, -1, n, sha256(convert_to('version ' || n, 'UTF8')), 9, 'keeping_owner', '0.1.0',
       'outcome', '{good,bad}',
       '[{"name": "age", "type": "integer", "treatment": "numeric", "fitted": {"center": 35}}]',
       '{"layers": []}', 2, 'SELECT * FROM loans', '{"l2": 0.1}'
FROM generate_series(1, 3) AS n;
INSERT INTO _neural.chunk SELECT -n, 0, convert_to('version ' || n, 'UTF8') FROM generate_series(1, 3) AS n;
INSERT INTO _neural.epoch (version, epoch, train_loss) VALUES (-3, 1, 0.5), (-3, 2, 0.25);
INSERT INTO _neural.deployment (model, version, deployed_by)
SELECT -1, -n, 'keeping_owner' FROM generate_series(1, 3) AS n;

-- The owner sees everything, a grantee the description, others nothing.
SET ROLE keeping_owner;
SELECT name, version, versions, task, target, classes, positive_class, features, owner FROM neural.models;
SELECT model, version, deployed, query, options FROM neural.model_versions ORDER BY version;
SELECT model, version, epoch, train_loss FROM neural.training_history ORDER BY epoch;
SET ROLE keeping_grantee;
SELECT name FROM neural.models;
SELECT neural.deploy('risk', 1);
SELECT neural.grant_model('risk', 'keeping_grantee');
SELECT count(*) FROM _neural.model;
SET ROLE keeping_owner;
SELECT neural.grant_model('risk', 'keeping_grantee');
SET ROLE keeping_grantee;
SELECT name, features, classes FROM neural.models;
SELECT version, query, options FROM neural.model_versions ORDER BY version;
SELECT neural.deploy('risk', 1);
SELECT neural.export_model('risk');
SELECT neural.drop_model('risk');
SET ROLE keeping_other;
SELECT count(*) FROM neural.models;
SET ROLE keeping_owner;
SELECT neural.grant_model('risk', '-');
SET ROLE keeping_other;
SELECT name, owner FROM neural.models;
SET ROLE keeping_owner;
SELECT neural.revoke_model('risk', '-');
SELECT neural.revoke_model('risk', 'keeping_grantee');
SET ROLE keeping_grantee;
SELECT count(*) FROM neural.models;

-- Deploying and going back.
SET ROLE keeping_owner;
SELECT convert_from(neural.export_model('risk'), 'UTF8'), convert_from(neural.export_model('risk@1'), 'UTF8');
SELECT neural.deploy('risk', 1);
SELECT neural.deploy('risk', 9);
SELECT neural.deploy('risc', 1);
SELECT neural.deploy('risk@2', 1);
SELECT neural.deploy(NULL, 1);
SELECT neural.drop_model('risk', 1);
SELECT neural.rollback('risk');
SELECT neural.drop_model('risk', 2);
SELECT neural.rollback('risk');
SELECT neural.rollback('risk');
SELECT neural.export_model('risk@2');
SELECT neural.export_model('risk@two');
BEGIN;
SELECT neural.deploy('risk', 3);
ROLLBACK;
SELECT version, versions FROM neural.models;

-- Names and owners.
SELECT neural.rename_model('risk', 'a@b');
SELECT neural.rename_model('risk', '');
SELECT neural.rename_model('risk', repeat('x', 256));
SELECT neural.rename_model('risk', 'risk');
SELECT neural.rename_model('risk', 'credit');
SELECT neural.set_owner('credit', 'keeping_other');
SELECT neural.set_owner('credit', '-');
RESET ROLE;
SELECT neural.set_owner('credit', 'keeping_other');
SELECT neural.set_owner('credit', '77');
SELECT neural.grant_model('credit', '77');
SELECT name, owner FROM neural.models;
SELECT * FROM _neural.numbering ORDER BY name;

-- A role with models is not dropped in passing. Once it is, that costs no model and gives no rights.
DROP ROLE keeping_other;
DROP OWNED BY keeping_other;
DROP ROLE keeping_other;
SELECT name, owner, owner::text IS NULL AS lost FROM neural.models;
SET ROLE keeping_owner;
SELECT neural.export_model('credit');
RESET ROLE;

-- What was stored is checked when it is read.
UPDATE _neural.chunk SET bytes = 'Version 1' WHERE version = -1;
SELECT neural.export_model('credit@1');
DELETE FROM _neural.chunk WHERE version = -1;
SELECT neural.export_model('credit@1');

SELECT neural.drop_model('credit');
SELECT count(*) FROM _neural.version;
SELECT count(*) FROM _neural.chunk;
SELECT count(*) FROM _neural.deployment;
SELECT count(*) FROM _neural.epoch;
SELECT name FROM neural.architectures WHERE name IN ('linear', 'logistic', 'mlp_10_10', 'mlp_64_64');

DELETE FROM _neural.numbering WHERE name IN ('risk', 'credit');
DROP ROLE keeping_owner, keeping_grantee, "keeping ""odd""";
