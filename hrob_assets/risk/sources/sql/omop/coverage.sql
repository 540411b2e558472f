-- Spans of enrolment; `ended_at` is the first moment after the span, null when it is open.
-- A source without a single payer_plan_period says by observation_period who was observed when.
-- A span may be known before it starts. Its end is a fact of its own, known when it has happened
-- and the lag has passed, and not before the span itself. An end in 2099 or later is how sources write "open".
CREATE TEMP TABLE coverage_checked AS
WITH spans AS (
  SELECT
    'payer_plan_period' AS source_table, file_row_number,
    payer_plan_period_id AS source_row_id, person_id,
    payer_plan_period_start_date AS started_at, payer_plan_period_end_date AS last_day,
    coalesce(blank_to_null(payer_source_value), concept_name, 'Unknown') AS payer,
    known_at AS stated_known_at
  FROM payer_plan_period
  LEFT JOIN (SELECT concept_id, concept_name FROM concept WHERE concept_id <> 0) AS payer_concept
    ON payer_concept.concept_id = payer_plan_period.payer_concept_id
  UNION ALL
  SELECT
    'observation_period', file_row_number, observation_period_id, person_id,
    observation_period_start_date, observation_period_end_date, 'Unknown', known_at
  FROM observation_period
  WHERE (SELECT count(*) FROM payer_plan_period) = 0
),
dated AS (
  SELECT
    spans.*,
    CASE
      WHEN year(last_day) < 2099 THEN date_trunc('day', last_day) + INTERVAL 1 DAY
    END AS ended_at,
    known_after('coverage', started_at, stated_known_at) AS known_at,
    is_kept_after_death(started_at, known_at, last_credible, death_known_at)
      AS is_kept_after_death,
    CASE
      WHEN lifetime.person_id IS NULL THEN 'missing or invalid person'
      WHEN started_at IS NULL THEN 'null date'
      WHEN is_future(started_at, stated_known_at) THEN 'future date'
      WHEN last_day < date_trunc('day', started_at) THEN 'end before start'
      WHEN is_after_known_death(started_at, known_at, last_credible, death_known_at)
        THEN 'event after death'
    END AS other_reason
  FROM spans
  LEFT JOIN lifetime ON lifetime.person_id = spans.person_id
)
SELECT
  * EXCLUDE (other_reason),
  CASE
    WHEN other_reason IS NOT NULL THEN other_reason
    WHEN row_number() OVER (
      PARTITION BY person_id, started_at, payer, other_reason IS NULL
      ORDER BY known_at, ended_at DESC NULLS FIRST, file_row_number
    ) > 1 THEN 'duplicate key'
  END AS reason
FROM dated;

CREATE TEMP VIEW coverage AS
SELECT
  person_id, started_at, ended_at, payer, known_at,
  CASE
    WHEN ended_at IS NOT NULL THEN greatest(known_after('coverage', ended_at, NULL), known_at)
  END AS end_known_at
FROM coverage_checked
WHERE reason IS NULL;
