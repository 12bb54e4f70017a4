-- What became of one document, without reading all of its tenant's log.
CREATE INDEX audit_of_document ON audit (tenant, collection, id, number);
