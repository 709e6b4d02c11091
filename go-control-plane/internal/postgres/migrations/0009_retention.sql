-- What is old is found without reading what is not.
CREATE INDEX ledger_entry_booked_at ON ledger_entry (booked_at);
CREATE INDEX usage_record_booked_at ON usage_record (booked_at);
