-- persons and deaths: what is valid, and why the rest is not.
-- A birth date of which only the year or month is known is put in its middle; `birth_slack` is
-- the number of days by which the true date may be later or earlier.
CREATE TEMP TABLE person_checked AS
WITH born AS (
  SELECT
    *,
    coalesce(
      CAST(birth_datetime AS DATE),
      try(make_date(year_of_birth, month_of_birth, day_of_birth)),
      try(make_date(year_of_birth, month_of_birth, 15)),
      try(make_date(year_of_birth, 7, 1))
    ) AS stated_birth_date,
    CASE
      WHEN birth_datetime IS NOT NULL THEN 0
      WHEN try(make_date(year_of_birth, month_of_birth, day_of_birth)) IS NOT NULL THEN 0
      WHEN try(make_date(year_of_birth, month_of_birth, 15)) IS NOT NULL THEN 16
      ELSE 184
    END AS birth_slack,
    lower(trim(coalesce(gender_source_value, ''))) AS gender_text,
    lower(trim(coalesce(race_source_value, ''))) AS race_text,
    lower(regexp_replace(coalesce(ethnicity_source_value, ''), '[^A-Za-z]', '', 'g'))
      AS ethnicity_text
  FROM person
),
valid_year AS (
  SELECT *, CASE WHEN year(stated_birth_date) >= 1850 THEN stated_birth_date END AS birth_date
  FROM born
),
reasoned AS (
  SELECT
    *,
    CASE
      WHEN person_id IS NULL THEN 'null key'
      WHEN birth_date IS NULL THEN 'null date'
      WHEN birth_date >= getvariable('as_of') THEN 'future date'
    END AS other_reason
  FROM valid_year
)
SELECT
  person_id, file_row_number, birth_date, birth_slack,
  CASE
    WHEN gender_concept_id = 8532 THEN 'female'
    WHEN gender_concept_id = 8507 THEN 'male'
    WHEN gender_text IN ('f', 'female', 'w', 'woman') THEN 'female'
    WHEN gender_text IN ('m', 'male', 'man') THEN 'male'
    ELSE 'unknown'
  END AS gender,
  CASE
    WHEN race_concept_id = 8527 THEN 'White'
    WHEN race_concept_id = 8516 THEN 'Black'
    WHEN race_concept_id = 8515 THEN 'Asian'
    WHEN race_concept_id = 8657 THEN 'American Indian or Alaska Native'
    WHEN race_concept_id = 8557 THEN 'Native Hawaiian or Other Pacific Islander'
    WHEN race_concept_id = 8522 THEN 'Other'
    WHEN race_text IN ('white', 'caucasian') THEN 'White'
    WHEN race_text IN ('black', 'african american', 'africanamerican',
      'black or african american') THEN 'Black'
    WHEN race_text = 'asian' THEN 'Asian'
    WHEN race_text IN ('native', 'american indian', 'american indian or alaska native',
      'alaska native') THEN 'American Indian or Alaska Native'
    WHEN race_text IN ('hawaiian', 'native hawaiian', 'pacific islander',
      'native hawaiian or other pacific islander') THEN 'Native Hawaiian or Other Pacific Islander'
    WHEN race_text IN ('other', 'other race') THEN 'Other'
    ELSE 'Unknown'
  END AS race,
  CASE
    WHEN ethnicity_concept_id = 38003563 THEN 'Hispanic or Latino'
    WHEN ethnicity_concept_id = 38003564 THEN 'Not Hispanic or Latino'
    WHEN ethnicity_text IN ('hispanic', 'latino', 'hispanicorlatino') THEN 'Hispanic or Latino'
    WHEN ethnicity_text IN ('nonhispanic', 'nothispanic', 'nothispanicorlatino')
      THEN 'Not Hispanic or Latino'
    ELSE 'Unknown'
  END AS ethnicity,
  CASE
    WHEN other_reason IS NOT NULL THEN other_reason
    WHEN row_number() OVER (
      PARTITION BY person_id, other_reason IS NULL
      ORDER BY birth_date, gender_concept_id, race_concept_id, ethnicity_concept_id,
        gender_text, race_text, ethnicity_text, file_row_number
    ) > 1 THEN 'duplicate key'
  END AS reason
FROM reasoned;

CREATE TEMP TABLE death_checked AS
WITH dated AS (
  SELECT
    death.person_id, death.file_row_number, death.known_at AS stated_known_at,
    coalesce(death.death_datetime, death.death_date) AS death_at,
    person.birth_date, person.birth_slack,
    person.person_id IS NULL AS is_orphan,
    coalesce(cause_concept_id, 0) AS concept_id,
    coalesce(cause_source_concept_id, 0) AS source_concept_id,
    coalesce(trim(cause_source_value), '') AS source_value
  FROM death
  LEFT JOIN person_checked AS person
    ON person.person_id = death.person_id AND person.reason IS NULL
),
reasoned AS (
  SELECT
    *,
    CASE
      WHEN is_orphan THEN 'missing or invalid person'
      WHEN death_at IS NULL THEN 'null date'
      WHEN is_future(death_at, stated_known_at) THEN 'future date'
      WHEN death_at < birth_date - to_days(birth_slack) THEN 'death before birth'
      WHEN is_known_too_early(death_at, stated_known_at) THEN 'known before it occurred'
    END AS other_reason,
    known_after('death', death_at, stated_known_at) AS death_known_at
  FROM dated
)
SELECT
  * EXCLUDE (other_reason),
  CASE
    WHEN other_reason IS NOT NULL THEN other_reason
    WHEN row_number() OVER (
      PARTITION BY person_id, other_reason IS NULL
      ORDER BY death_known_at, death_at, source_value, concept_id, file_row_number
    ) > 1 THEN 'duplicate key'
  END AS reason
FROM reasoned;

CREATE TEMP VIEW persons AS
SELECT
  person.person_id, birth_date, gender, race, ethnicity, death_at, death_known_at
FROM person_checked AS person
LEFT JOIN (SELECT person_id, death_at, death_known_at FROM death_checked WHERE reason IS NULL) AS d
  ON d.person_id = person.person_id
WHERE person.reason IS NULL;

-- What the checks of the other tables need of a person.
CREATE TEMP TABLE lifetime AS
SELECT
  person.person_id,
  CAST(birth_date - to_days(birth_slack + 1) AS TIMESTAMP) AS first_credible,
  death_at + INTERVAL 90 DAY AS last_credible,
  death_known_at
FROM person_checked AS person
LEFT JOIN (SELECT person_id, death_at, death_known_at FROM death_checked WHERE reason IS NULL) AS d
  ON d.person_id = person.person_id
WHERE person.reason IS NULL;
