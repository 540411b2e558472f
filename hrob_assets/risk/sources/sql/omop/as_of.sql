-- The first moment of which the source knows nothing: midnight after the last day on which
-- visits became known at the source's usual pace. A few wrong dates in the future do not move it:
--   a day counts when it has at least 2 % of the visits of a typical day, and at least 3 visits
--   (fewer in a source whose typical day has fewer than 12; a typical day is the median over
--   visits of the visits that became known on the same day);
--   days after a silence of more than 30 days (180 where a typical day has fewer than 12 visits)
--   count only if they hold 1 % of all visits;
--   a quiet day after the last such day (a weekend) counts up to 3 days later when it has that
--   share of a typical day of its own weekday (the median over the 8 weeks before).
-- Visits of unknown persons and visits known before they happened are not asked.
WITH known_visit AS (
  SELECT DISTINCT ON (visit_occurrence_id)
    date_trunc('day', greatest(
      coalesce(visit_start_datetime, visit_start_date),
      known_after('visit', coalesce(visit_start_datetime, visit_start_date), visit.known_at)
    )) AS day
  FROM visit_occurrence AS visit
  WHERE coalesce(visit_start_datetime, visit_start_date) IS NOT NULL
    AND NOT is_known_too_early(
      coalesce(visit_start_datetime, visit_start_date), visit.known_at
    )
    AND person_id IN (SELECT person_id FROM person)
  ORDER BY visit_occurrence_id, day
),
daily AS (
  SELECT day, count(*) AS visits FROM known_visit GROUP BY day
),
typical AS (
  SELECT median(visits) AS visits, count(*) AS all_visits
  FROM known_visit JOIN daily USING (day)
),
usual AS (
  SELECT daily.*
  FROM daily, typical
  WHERE daily.visits >= greatest(1, least(3, typical.visits / 4), 0.02 * typical.visits)
),
spaced AS (
  SELECT
    day,
    date_diff('day', lag(day) OVER (ORDER BY day), day) AS silence_days,
    sum(visits) OVER (ORDER BY day ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS remaining
  FROM usual
),
silence AS (
  SELECT min(day) AS starts_again
  FROM spaced, typical
  WHERE silence_days > CASE WHEN typical.visits >= 12 THEN 30 ELSE 180 END AND remaining < 0.01 * all_visits
),
last_usual AS (
  SELECT max(day) AS day FROM spaced, silence WHERE starts_again IS NULL OR day < starts_again
),
weekday AS (
  SELECT dayofweek(daily.day) AS number, median(visits) AS visits
  FROM daily, last_usual
  WHERE daily.day > last_usual.day - INTERVAL 56 DAY AND daily.day <= last_usual.day
  GROUP BY number
),
last_quiet AS (
  SELECT max(daily.day) AS day
  FROM daily JOIN weekday ON weekday.number = dayofweek(daily.day), last_usual
  WHERE daily.day > last_usual.day AND daily.day <= last_usual.day + INTERVAL 3 DAY
    AND daily.visits >= greatest(1, least(3, weekday.visits / 4), 0.02 * weekday.visits)
)
SELECT coalesce(last_quiet.day, last_usual.day) + INTERVAL 1 DAY
FROM last_usual, last_quiet;
