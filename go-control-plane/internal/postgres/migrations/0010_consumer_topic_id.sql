-- Which topic an offset belongs to: one that is deleted and made anew has another id. Empty where Kafka has not told it.
ALTER TABLE consumer_offset ADD COLUMN topic_id text NOT NULL DEFAULT '';
