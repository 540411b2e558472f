-- Rules that several statements share. Session variables set by `stage`:
--   known_lag_days  map from domain to days   as_of  first moment of which the source knows nothing

-- When a row became known: as the source states it, else its date plus the lag of its domain.
CREATE MACRO known_after(domain, occurred_at, stated_known_at) AS
  coalesce(stated_known_at, occurred_at + to_days(getvariable('known_lag_days')[domain]));

-- A stated date, a date of the fact: neither may lie at or after `as_of`. An assumed lag may.
CREATE MACRO is_future(occurred_at, stated_known_at) AS
  occurred_at >= getvariable('as_of') OR coalesce(stated_known_at >= getvariable('as_of'), false);

-- Known on an earlier day than the day on which it happened.
CREATE MACRO is_known_too_early(occurred_at, stated_known_at) AS
  coalesce(stated_known_at < date_trunc('day', occurred_at), false);

-- A row after the death is wrong if the death was known when the row became known. A row that was
-- known before the death was in use by then and stays: facts that come later change nothing that
-- was known earlier.
CREATE MACRO is_after_known_death(occurred_at, known_at, last_credible, death_known_at) AS
  occurred_at > last_credible AND known_at >= death_known_at;

CREATE MACRO is_kept_after_death(occurred_at, known_at, last_credible, death_known_at) AS
  coalesce(occurred_at > last_credible AND known_at < death_known_at, false);

CREATE MACRO blank_to_null(value) AS nullif(trim(value), '');

-- Upper case, no dots: the form in which ICD codes are stored. Other codes stay as they are.
CREATE MACRO stored_code(vocabulary, code) AS
  CASE
    WHEN vocabulary IN ('ICD10CM', 'ICD10PCS', 'ICD10', 'ICD9CM', 'ICD9Proc')
      THEN replace(upper(trim(code)), '.', '')
    WHEN vocabulary IN ('CPT4', 'HCPCS', 'LOINC') THEN upper(trim(code))
    WHEN vocabulary = 'NDC' THEN replace(trim(code), '-', '')
    ELSE trim(code)
  END;

-- The vocabulary of a source code without a concept, by its pattern and its domain.
-- The first rule that fits decides; 'Unknown' when none does.
--   ICD-9-CM external causes have their dot after the fourth character (E880.1), ICD-10-CM codes
--   after the third. V codes of ICD-9-CM have at most five characters, those of ICD-10-CM (land
--   transport accidents) are complete with seven.
--   An all-digit ICD-10-PCS code of the medical and surgical section starts with 0; an all-digit
--   SNOMED CT identifier never does.
--   In the observation domain a letter and four digits without a dot is HCPCS unless it is a
--   Z code, and ICD-10-CM everywhere else but among procedures and drugs.
CREATE MACRO inferred_vocabulary(domain, code) AS
  CASE
    WHEN regexp_full_match(code, '[0-9]{1,7}-[0-9]') AND domain IN ('measurement', 'observation',
      'procedure') THEN 'LOINC'
    WHEN domain = 'drug' THEN
      CASE
        WHEN regexp_full_match(code, '[0-9]{11}|[0-9]{4,5}-[0-9]{3,4}-[0-9]{1,2}') THEN 'NDC'
        WHEN regexp_full_match(code, '[0-9]{1,8}') THEN 'RxNorm'
        WHEN regexp_full_match(code, '[A-V][0-9]{4}') THEN 'HCPCS'
        WHEN regexp_full_match(code, '[0-9]{4}[AFTUM]') THEN 'CPT4'
        ELSE 'Unknown'
      END
    WHEN domain IN ('procedure', 'measurement')
      AND regexp_full_match(code, '[0-9]{5}|[0-9]{4}[AFTUM]') THEN 'CPT4'
    WHEN domain IN ('procedure', 'measurement')
      AND regexp_full_match(code, '[A-V][0-9]{4}') THEN 'HCPCS'
    WHEN domain = 'procedure' AND regexp_full_match(code, '[0-9B-DF-HX][0-9A-HJ-NP-Z]{6}')
      AND (NOT regexp_full_match(code, '[0-9]{7}') OR code[1] = '0') THEN 'ICD10PCS'
    WHEN domain = 'procedure' AND regexp_full_match(code, '[0-9]{2}\.[0-9]{1,2}') THEN 'ICD9Proc'
    WHEN domain = 'procedure' AND regexp_full_match(code, '[0-9]{3}') THEN 'DRG'
    WHEN domain = 'observation' AND regexp_full_match(code, '[A-V][0-9]{4}') THEN 'HCPCS'
    WHEN domain = 'observation' AND regexp_full_match(code, '[0-9]{5}|[0-9]{4}[FTUM]') THEN 'CPT4'
    WHEN domain IN ('condition', 'observation', 'death') AND regexp_full_match(code,
      '[0-9]{3}(\.[0-9]{1,2})?|[0-9]{4,5}|V[0-9]{2}(\.?[0-9]{1,2})?|E[0-9]{3}\.[0-9]')
      THEN 'ICD9CM'
    WHEN domain IN ('condition', 'observation', 'death')
      AND regexp_full_match(code, '[A-Z][0-9][0-9A-Z](\.?[0-9A-Z]{1,4})?') THEN 'ICD10CM'
    WHEN regexp_full_match(code, '[1-9][0-9]{5,17}') THEN 'SNOMED'
    ELSE 'Unknown'
  END;

CREATE MACRO source_table_of(domain) AS
  CASE domain
    WHEN 'condition' THEN 'condition_occurrence'
    WHEN 'procedure' THEN 'procedure_occurrence'
    WHEN 'drug' THEN 'drug_exposure'
    ELSE domain
  END;
