-- +goose Up
CREATE TABLE sales (at DateTime64(3), amount Decimal(18, 2)) ENGINE = MergeTree ORDER BY at;

-- +goose Down
DROP TABLE sales;
