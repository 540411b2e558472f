-- One row per visit, with the moment from which it may be used and the week of that moment.
CREATE TEMP TABLE encounter_checked AS
WITH dated AS (
  SELECT
    visit_occurrence_id AS encounter_id, visit.person_id, visit.file_row_number,
    coalesce(visit_start_datetime, visit_start_date) AS occurred_at,
    coalesce(visit_end_datetime, visit_end_date) AS stated_end,
    visit.known_at AS stated_known_at,
    visit_concept_id, lower(trim(coalesce(visit_source_value, ''))) AS visit_text,
    lifetime.person_id IS NULL AS is_orphan, first_credible, last_credible,
    death_known_at
  FROM visit_occurrence AS visit
  LEFT JOIN lifetime ON lifetime.person_id = visit.person_id
),
reasoned AS (
  SELECT
    *,
    known_after('visit', occurred_at, stated_known_at) AS known_at,
    -- Concepts of the OMOP domain Visit; the source's own words where the concept says nothing.
    CASE
      WHEN visit_concept_id IN (9201, 8717, 32037, 581379, 38004279) THEN 'inpatient'
      WHEN visit_concept_id IN (9203, 8870) THEN 'emergency'
      WHEN visit_concept_id = 262 THEN 'emergency_inpatient'
      WHEN visit_concept_id IN (581477, 8940) THEN 'office'
      WHEN visit_concept_id IN (5083, 722455, 581399) THEN 'telehealth'
      WHEN visit_concept_id IN (581476, 38004519) THEN 'home'
      WHEN visit_concept_id IN (32036, 8809) THEN 'laboratory'
      WHEN visit_concept_id IN (581458, 38004338) THEN 'pharmacy'
      WHEN visit_concept_id IN (9202, 8756, 8883, 38004207) THEN 'outpatient'
      WHEN coalesce(visit_concept_id, 0) <> 0 THEN 'other'
      WHEN visit_text IN ('erip', 'ed to inpatient', 'emergency_inpatient')
        THEN 'emergency_inpatient'
      WHEN visit_text IN ('ip', 'inp', 'imp', 'acute') OR visit_text LIKE 'inpatient%'
        THEN 'inpatient'
      WHEN visit_text IN ('er', 'ed', 'emer') OR visit_text LIKE 'emergency%' THEN 'emergency'
      WHEN visit_text LIKE 'office%' THEN 'office'
      WHEN visit_text IN ('vr', 'virtual') OR visit_text LIKE 'tele%' THEN 'telehealth'
      WHEN visit_text IN ('hh') OR visit_text LIKE 'home%' THEN 'home'
      WHEN visit_text IN ('lab') OR visit_text LIKE 'laboratory%' THEN 'laboratory'
      WHEN visit_text IN ('rx') OR visit_text LIKE 'pharmacy%' THEN 'pharmacy'
      WHEN visit_text IN ('op', 'amb', 'wellness', 'urgentcare') OR visit_text LIKE 'outpatient%'
        OR visit_text LIKE 'ambulatory%' THEN 'outpatient'
      ELSE 'other'
    END AS encounter_class,
    CASE
      WHEN encounter_id IS NULL THEN 'null key'
      WHEN is_orphan THEN 'missing or invalid person'
      WHEN occurred_at IS NULL THEN 'null date'
      WHEN is_future(occurred_at, stated_known_at) THEN 'future date'
      WHEN occurred_at < first_credible THEN 'event before birth'
      WHEN is_after_known_death(occurred_at, known_at, last_credible, death_known_at)
        THEN 'event after death'
      WHEN stated_end < date_trunc('day', occurred_at) THEN 'end before start'
      WHEN is_known_too_early(occurred_at, stated_known_at) THEN 'known before it occurred'
    END AS other_reason
  FROM dated
)
SELECT
  encounter_id, person_id, file_row_number, encounter_class, occurred_at, known_at,
  -- An end at midnight of the day of the start is a date without a time.
  CASE WHEN stated_end < getvariable('as_of') THEN greatest(stated_end, occurred_at) END
    AS ended_at,
  coalesce(stated_end >= getvariable('as_of'), false) AS has_future_end,
  is_kept_after_death(occurred_at, known_at, last_credible, death_known_at) AS is_kept_after_death,
  date_trunc('day', greatest(occurred_at, known_at)) + INTERVAL 1 DAY AS prediction_time,
  CASE
    WHEN other_reason IS NOT NULL THEN other_reason
    WHEN row_number() OVER (
      PARTITION BY encounter_id, other_reason IS NULL
      ORDER BY known_at, occurred_at, person_id, encounter_class, stated_end, file_row_number
    ) > 1 THEN 'duplicate key'
  END AS reason
FROM reasoned;

CREATE TEMP VIEW encounters AS
SELECT
  encounter_id, person_id, encounter_class, occurred_at, ended_at, known_at, prediction_time,
  CAST(date_trunc('week', prediction_time - INTERVAL 1 MICROSECOND) AS DATE) AS week
FROM encounter_checked
WHERE reason IS NULL;
