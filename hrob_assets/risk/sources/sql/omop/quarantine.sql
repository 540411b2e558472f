-- Why a row of the source is not in a staged table, or lost a part of itself (kept = true).
CREATE TEMP TABLE rejected AS
SELECT
  'persons' AS staged_table, 'person' AS source_table, person_id AS source_row_id,
  file_row_number, reason, false AS kept
FROM person_checked WHERE reason IS NOT NULL
UNION ALL
SELECT 'persons', 'death', person_id, file_row_number, reason, false
FROM death_checked WHERE reason IS NOT NULL
UNION ALL
SELECT
  'coverage', source_table, source_row_id, file_row_number,
  coalesce(reason, 'after death (kept, known before the death)'), reason IS NULL
FROM coverage_checked WHERE reason IS NOT NULL OR is_kept_after_death
UNION ALL
SELECT 'encounters', 'visit_occurrence', encounter_id, file_row_number, reason, false
FROM encounter_checked WHERE reason IS NOT NULL
UNION ALL
SELECT
  'encounters', 'visit_occurrence', encounter_id, file_row_number,
  'future end (kept, end removed)', true
FROM encounter_checked WHERE reason IS NULL AND has_future_end
UNION ALL
SELECT
  'encounters', 'visit_occurrence', encounter_id, file_row_number,
  'after death (kept, known before the death)', true
FROM encounter_checked WHERE reason IS NULL AND is_kept_after_death
UNION ALL
SELECT
  'events', source_table_of(domain), source_row_id, file_row_number,
  unnest(
    CASE
      WHEN reason IS NOT NULL THEN [reason]
      ELSE list_filter(
        [
          CASE WHEN is_kept_after_death THEN 'after death (kept, known before the death)' END,
          CASE
            WHEN visit_occurrence_id IS NULL OR encounter_person_id = person_id THEN NULL
            WHEN encounter_person_id IS NULL THEN 'orphan visit reference (kept, link removed)'
            ELSE 'visit of another person (kept, link removed)'
          END
        ],
        lambda why: why IS NOT NULL
      )
    END
  ),
  reason IS NULL
FROM clinical_checked
WHERE reason IS NOT NULL OR is_kept_after_death
  OR (visit_occurrence_id IS NOT NULL AND encounter_person_id IS DISTINCT FROM person_id);
