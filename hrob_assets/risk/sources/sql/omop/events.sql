-- Every dated fact in one shape. `clinical` is read from the snapshot as it streams past;
-- only the code dictionary, the encounters and the lifetimes are held in memory.
CREATE TEMP VIEW clinical AS
SELECT
  'condition' AS domain, condition_occurrence_id AS source_row_id, file_row_number, person_id,
  visit_occurrence_id, coalesce(condition_start_datetime, condition_start_date) AS occurred_at,
  known_at AS stated_known_at, coalesce(condition_concept_id, 0) AS concept_id,
  coalesce(condition_source_concept_id, 0) AS source_concept_id,
  coalesce(trim(condition_source_value), '') AS source_value,
  CAST(NULL AS DOUBLE) AS value, CAST(NULL AS VARCHAR) AS unit_text,
  CAST(NULL AS BIGINT) AS unit_concept_id
FROM condition_occurrence
UNION ALL
SELECT
  'procedure', procedure_occurrence_id, file_row_number, person_id, visit_occurrence_id,
  coalesce(procedure_datetime, procedure_date), known_at, coalesce(procedure_concept_id, 0),
  coalesce(procedure_source_concept_id, 0), coalesce(trim(procedure_source_value), ''),
  NULL, NULL, NULL
FROM procedure_occurrence
UNION ALL
SELECT
  'drug', drug_exposure_id, file_row_number, person_id, visit_occurrence_id,
  coalesce(drug_exposure_start_datetime, drug_exposure_start_date), known_at,
  coalesce(drug_concept_id, 0), coalesce(drug_source_concept_id, 0),
  coalesce(trim(drug_source_value), ''), NULL, NULL, NULL
FROM drug_exposure
UNION ALL
SELECT
  'measurement', measurement_id, file_row_number, person_id, visit_occurrence_id,
  coalesce(measurement_datetime, measurement_date), known_at, coalesce(measurement_concept_id, 0),
  coalesce(measurement_source_concept_id, 0), coalesce(trim(measurement_source_value), ''),
  coalesce(value_as_number, try_cast(value_source_value AS DOUBLE)), unit_source_value,
  unit_concept_id
FROM measurement
UNION ALL
SELECT
  'observation', observation_id, file_row_number, person_id, visit_occurrence_id,
  coalesce(observation_datetime, observation_date), known_at, coalesce(observation_concept_id, 0),
  coalesce(observation_source_concept_id, 0), coalesce(trim(observation_source_value), ''),
  value_as_number, unit_source_value, unit_concept_id
FROM observation;

CREATE TEMP TABLE code_dictionary AS
WITH seen AS (
  SELECT DISTINCT domain, concept_id, source_concept_id, source_value FROM clinical
  UNION
  SELECT DISTINCT 'death', concept_id, source_concept_id, source_value
  FROM death_checked WHERE reason IS NULL
),
used_concept AS (
  SELECT concept_id, any_value(vocabulary_id) AS vocabulary,
    any_value(stored_code(vocabulary_id, concept_code)) AS code
  FROM concept
  WHERE vocabulary_id <> 'None' AND blank_to_null(concept_code) IS NOT NULL
    AND concept_id IN (SELECT concept_id FROM seen UNION SELECT source_concept_id FROM seen)
    AND concept_id <> 0
  GROUP BY concept_id
),
inferred AS (
  SELECT seen.*, inferred_vocabulary(domain, upper(source_value)) AS source_vocabulary FROM seen
),
coded AS (
  SELECT
    inferred.* EXCLUDE (source_vocabulary),
    CASE
      WHEN source.code IS NOT NULL THEN source.vocabulary
      WHEN source_value <> '' THEN source_vocabulary
      WHEN standard.code IS NOT NULL THEN standard.vocabulary
      WHEN source_concept_id <> 0 OR inferred.concept_id <> 0 THEN 'OMOP'
    END AS vocabulary,
    CASE
      WHEN source.code IS NOT NULL THEN source.code
      WHEN source_value <> '' THEN stored_code(source_vocabulary, source_value)
      WHEN standard.code IS NOT NULL THEN standard.code
      WHEN source_concept_id <> 0 THEN CAST(source_concept_id AS VARCHAR)
      WHEN inferred.concept_id <> 0 THEN CAST(inferred.concept_id AS VARCHAR)
    END AS code,
    standard.vocabulary AS concept_vocabulary,
    standard.code AS concept_code
  FROM inferred
  LEFT JOIN used_concept AS source ON source.concept_id = inferred.source_concept_id
  LEFT JOIN used_concept AS standard ON standard.concept_id = inferred.concept_id
)
SELECT
  * EXCLUDE (concept_vocabulary, concept_code),
  CASE WHEN (concept_vocabulary, concept_code) IS DISTINCT FROM (vocabulary, code)
    THEN concept_vocabulary END AS standard_vocabulary,
  CASE WHEN (concept_vocabulary, concept_code) IS DISTINCT FROM (vocabulary, code)
    THEN concept_code END AS standard_code
FROM coded;

CREATE TEMP TABLE unit_dictionary AS
SELECT concept_id, any_value(concept_code) AS unit
FROM concept
WHERE vocabulary_id = 'UCUM'
GROUP BY concept_id;

CREATE TEMP TABLE encounter_person AS
SELECT encounter_id, person_id AS encounter_person_id FROM encounter_checked WHERE reason IS NULL;

CREATE TEMP VIEW clinical_reasoned AS
SELECT
  clinical.* EXCLUDE (value, unit_text, unit_concept_id),
  CASE WHEN isfinite(value) THEN value END AS value,
  coalesce(blank_to_null(unit_text), unit_dictionary.unit) AS unit,
  encounter_person.encounter_id,
  encounter_person_id,
  vocabulary, code, standard_vocabulary, standard_code,
  known_after(clinical.domain, occurred_at, stated_known_at) AS known_at,
  is_kept_after_death(occurred_at, known_at, last_credible, death_known_at) AS is_kept_after_death,
  CASE
    WHEN source_row_id IS NULL THEN 'null key'
    WHEN lifetime.person_id IS NULL THEN 'missing or invalid person'
    WHEN occurred_at IS NULL THEN 'null date'
    WHEN is_future(occurred_at, stated_known_at) THEN 'future date'
    WHEN occurred_at < first_credible THEN 'event before birth'
    WHEN is_after_known_death(occurred_at, known_at, last_credible, death_known_at)
      THEN 'event after death'
    WHEN is_known_too_early(occurred_at, stated_known_at) THEN 'known before it occurred'
    WHEN code IS NULL THEN 'no code'
  END AS other_reason
FROM clinical
LEFT JOIN lifetime ON lifetime.person_id = clinical.person_id
LEFT JOIN encounter_person ON encounter_person.encounter_id = clinical.visit_occurrence_id
LEFT JOIN unit_dictionary ON unit_dictionary.concept_id = clinical.unit_concept_id
LEFT JOIN code_dictionary
  ON code_dictionary.domain = clinical.domain
  AND code_dictionary.concept_id = clinical.concept_id
  AND code_dictionary.source_concept_id = clinical.source_concept_id
  AND code_dictionary.source_value = clinical.source_value;

-- Of rows with the same key the first valid one to become known stays.
CREATE TEMP TABLE later_copy AS
WITH repeated AS (
  SELECT 'condition' AS domain, condition_occurrence_id AS source_row_id
  FROM condition_occurrence GROUP BY ALL HAVING count(*) > 1
  UNION ALL
  SELECT 'procedure', procedure_occurrence_id
  FROM procedure_occurrence GROUP BY ALL HAVING count(*) > 1
  UNION ALL
  SELECT 'drug', drug_exposure_id FROM drug_exposure GROUP BY ALL HAVING count(*) > 1
  UNION ALL
  SELECT 'measurement', measurement_id FROM measurement GROUP BY ALL HAVING count(*) > 1
  UNION ALL
  SELECT 'observation', observation_id FROM observation GROUP BY ALL HAVING count(*) > 1
),
numbered AS (
  SELECT
    event.domain, event.file_row_number,
    row_number() OVER (
      PARTITION BY event.domain, event.source_row_id
      ORDER BY known_at, occurred_at, person_id, vocabulary, code, standard_code, value, unit,
        encounter_id, file_row_number
    ) AS copy_number
  FROM clinical_reasoned AS event
  JOIN repeated ON repeated.domain = event.domain AND repeated.source_row_id = event.source_row_id
  WHERE other_reason IS NULL
)
SELECT domain, file_row_number FROM numbered WHERE copy_number > 1;

CREATE TEMP VIEW clinical_checked AS
SELECT
  event.* EXCLUDE (other_reason),
  coalesce(
    other_reason, CASE WHEN later_copy.domain IS NOT NULL THEN 'duplicate key' END
  ) AS reason
FROM clinical_reasoned AS event
LEFT JOIN later_copy
  ON later_copy.domain = event.domain AND later_copy.file_row_number = event.file_row_number;

CREATE TEMP VIEW events AS
SELECT
  person_id, domain, source_row_id,
  CASE WHEN encounter_person_id = person_id THEN encounter_id END AS encounter_id,
  vocabulary, code, standard_vocabulary, standard_code, value, unit, occurred_at, known_at
FROM clinical_checked
WHERE reason IS NULL
UNION ALL
SELECT
  person_id, 'visit', encounter_id, encounter_id, 'Visit', encounter_class, NULL, NULL, NULL, NULL,
  occurred_at, known_at
FROM encounters
UNION ALL
-- A stay is over and its length known at its end: value = length of stay in days.
SELECT
  person_id, 'visit', encounter_id, encounter_id, 'Visit', 'inpatient_discharge', NULL, NULL,
  CAST(date_diff('day', occurred_at, ended_at) AS DOUBLE), NULL,
  ended_at, greatest(known_at, ended_at)
FROM encounters
WHERE encounter_class IN ('inpatient', 'emergency_inpatient') AND ended_at IS NOT NULL
UNION ALL
-- The cause of death stands where other events have their standard code.
SELECT
  person_id, 'death', person_id, NULL, 'Death', 'death',
  coalesce(code_dictionary.vocabulary, standard_vocabulary),
  coalesce(code_dictionary.code, standard_code), NULL, NULL, death_at, death_known_at
FROM death_checked
LEFT JOIN code_dictionary
  ON code_dictionary.domain = 'death'
  AND code_dictionary.concept_id = death_checked.concept_id
  AND code_dictionary.source_concept_id = death_checked.source_concept_id
  AND code_dictionary.source_value = death_checked.source_value
WHERE reason IS NULL;
