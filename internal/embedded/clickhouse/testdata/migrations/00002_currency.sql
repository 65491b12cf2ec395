-- +goose Up
ALTER TABLE sales ADD COLUMN currency LowCardinality(String);

-- +goose Down
ALTER TABLE sales DROP COLUMN currency;
