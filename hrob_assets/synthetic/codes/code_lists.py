"""Codes of the synthetic world as plain lists: ``code | name | unit``.

Codes are public facts (ICD-10-CM, ICD-10-PCS, CPT numbers, LOINC, RxNorm ingredients). They serve a
simulation; check them against the current release before any clinical use.
"""

CONDITIONS = """
Z32.01 | Positive pregnancy test
Z33.1 | Pregnant state, incidental
Z34.01 | Supervision of normal first pregnancy, first trimester
Z34.02 | Supervision of normal first pregnancy, second trimester
Z34.03 | Supervision of normal first pregnancy, third trimester
Z34.81 | Supervision of other normal pregnancy, first trimester
Z34.82 | Supervision of other normal pregnancy, second trimester
Z34.83 | Supervision of other normal pregnancy, third trimester
O09.91 | Supervision of high risk pregnancy, first trimester
O09.92 | Supervision of high risk pregnancy, second trimester
O09.93 | Supervision of high risk pregnancy, third trimester
O09.211 | Supervision with history of preterm labor, first trimester
O09.212 | Supervision with history of preterm labor, second trimester
O09.213 | Supervision with history of preterm labor, third trimester
O09.31 | Insufficient antenatal care, first trimester
O09.32 | Insufficient antenatal care, second trimester
O09.33 | Insufficient antenatal care, third trimester
O09.521 | Elderly multigravida, first trimester
O09.522 | Elderly multigravida, second trimester
O09.523 | Elderly multigravida, third trimester
O09.611 | Young primigravida, first trimester
O09.612 | Young primigravida, second trimester
O09.613 | Young primigravida, third trimester
O09.891 | Supervision of other high risk pregnancy (short interval), first trimester
O09.892 | Supervision of other high risk pregnancy (short interval), second trimester
O09.893 | Supervision of other high risk pregnancy (short interval), third trimester
O03.9 | Complete spontaneous abortion without complication
O02.1 | Missed abortion
Z33.2 | Encounter for elective termination of pregnancy
O00.90 | Ectopic pregnancy, unspecified
O20.0 | Threatened abortion
O20.9 | Hemorrhage in early pregnancy
O21.0 | Mild hyperemesis gravidarum
O23.41 | Urinary tract infection in pregnancy, first trimester
O23.42 | Urinary tract infection in pregnancy, second trimester
O23.43 | Urinary tract infection in pregnancy, third trimester
O10.011 | Pre-existing essential hypertension, first trimester
O10.012 | Pre-existing essential hypertension, second trimester
O10.013 | Pre-existing essential hypertension, third trimester
O10.02 | Pre-existing essential hypertension complicating childbirth
O10.03 | Pre-existing essential hypertension complicating the puerperium
O13.1 | Gestational hypertension, first trimester
O13.2 | Gestational hypertension, second trimester
O13.3 | Gestational hypertension, third trimester
O13.4 | Gestational hypertension complicating childbirth
O13.5 | Gestational hypertension complicating the puerperium
O14.00 | Mild to moderate pre-eclampsia, unspecified trimester
O14.02 | Mild to moderate pre-eclampsia, second trimester
O14.03 | Mild to moderate pre-eclampsia, third trimester
O14.04 | Mild to moderate pre-eclampsia, complicating childbirth
O14.05 | Mild to moderate pre-eclampsia, complicating the puerperium
O14.12 | Severe pre-eclampsia, second trimester
O14.13 | Severe pre-eclampsia, third trimester
O14.14 | Severe pre-eclampsia complicating childbirth
O14.15 | Severe pre-eclampsia, complicating the puerperium
O14.22 | HELLP syndrome, second trimester
O14.23 | HELLP syndrome, third trimester
O14.24 | HELLP syndrome, complicating childbirth
O14.25 | HELLP syndrome, complicating the puerperium
O15.1 | Eclampsia complicating labor
O15.2 | Eclampsia complicating the puerperium
O24.111 | Pre-existing type 2 diabetes, first trimester
O24.112 | Pre-existing type 2 diabetes, second trimester
O24.113 | Pre-existing type 2 diabetes, third trimester
O24.12 | Pre-existing type 2 diabetes, in childbirth
O24.13 | Pre-existing type 2 diabetes, in the puerperium
O24.410 | Gestational diabetes in pregnancy, diet controlled
O24.414 | Gestational diabetes in pregnancy, insulin controlled
O24.420 | Gestational diabetes in childbirth, diet controlled
O24.430 | Gestational diabetes in the puerperium, diet controlled
O26.831 | Pregnancy related renal disease, first trimester
O26.832 | Pregnancy related renal disease, second trimester
O26.833 | Pregnancy related renal disease, third trimester
O26.872 | Cervical shortening, second trimester
O26.873 | Cervical shortening, third trimester
O30.001 | Twin pregnancy, first trimester
O30.002 | Twin pregnancy, second trimester
O30.003 | Twin pregnancy, third trimester
O34.211 | Maternal care for low transverse scar from previous cesarean
O36.4XX0 | Maternal care for intrauterine death
O36.5930 | Maternal care for poor fetal growth, third trimester
O44.02 | Complete placenta previa without hemorrhage, second trimester
O44.03 | Complete placenta previa without hemorrhage, third trimester
O44.13 | Complete placenta previa with hemorrhage, third trimester
O43.213 | Placenta accreta, third trimester
O45.92 | Premature separation of placenta, second trimester
O45.93 | Premature separation of placenta, third trimester
O47.02 | False labor before 37 weeks, second trimester
O47.03 | False labor before 37 weeks, third trimester
O47.1 | False labor at or after 37 weeks
O60.02 | Preterm labor without delivery, second trimester
O60.03 | Preterm labor without delivery, third trimester
O60.12X0 | Preterm labor second trimester with preterm delivery second trimester
O60.14X0 | Preterm labor third trimester with preterm delivery third trimester
O72.1 | Other immediate postpartum hemorrhage
O75.1 | Shock during or following labor and delivery
O80 | Encounter for full-term uncomplicated delivery
O82 | Encounter for cesarean delivery without indication
O85 | Puerperal sepsis
O90.4 | Postpartum acute kidney failure
O99.011 | Anemia complicating pregnancy, first trimester
O99.012 | Anemia complicating pregnancy, second trimester
O99.013 | Anemia complicating pregnancy, third trimester
O99.02 | Anemia complicating childbirth
O99.03 | Anemia complicating the puerperium
O99.211 | Obesity complicating pregnancy, first trimester
O99.212 | Obesity complicating pregnancy, second trimester
O99.213 | Obesity complicating pregnancy, third trimester
O99.214 | Obesity complicating childbirth
O99.215 | Obesity complicating the puerperium
O99.281 | Endocrine disease complicating pregnancy, first trimester
O99.282 | Endocrine disease complicating pregnancy, second trimester
O99.283 | Endocrine disease complicating pregnancy, third trimester
O99.284 | Endocrine disease complicating childbirth
O99.285 | Endocrine disease complicating the puerperium
O99.321 | Drug use complicating pregnancy, first trimester
O99.322 | Drug use complicating pregnancy, second trimester
O99.323 | Drug use complicating pregnancy, third trimester
O99.324 | Drug use complicating childbirth
O99.325 | Drug use complicating the puerperium
O99.331 | Tobacco use complicating pregnancy, first trimester
O99.332 | Tobacco use complicating pregnancy, second trimester
O99.333 | Tobacco use complicating pregnancy, third trimester
O99.334 | Tobacco use complicating childbirth
O99.335 | Tobacco use complicating the puerperium
O99.341 | Mental disorder complicating pregnancy, first trimester
O99.342 | Mental disorder complicating pregnancy, second trimester
O99.343 | Mental disorder complicating pregnancy, third trimester
O99.344 | Mental disorder complicating childbirth
O99.345 | Mental disorder complicating the puerperium
O99.411 | Circulatory disease complicating pregnancy, first trimester
O99.412 | Circulatory disease complicating pregnancy, second trimester
O99.413 | Circulatory disease complicating pregnancy, third trimester
O99.42 | Circulatory disease complicating childbirth
O99.43 | Circulatory disease complicating the puerperium
O99.511 | Respiratory disease complicating pregnancy, first trimester
O99.512 | Respiratory disease complicating pregnancy, second trimester
O99.513 | Respiratory disease complicating pregnancy, third trimester
O99.52 | Respiratory disease complicating childbirth
O99.53 | Respiratory disease complicating the puerperium
Z37.0 | Single live birth
Z37.1 | Single stillbirth
Z37.2 | Twins, both liveborn
Z39.0 | Care immediately after delivery
Z39.1 | Care of lactating mother
Z39.2 | Routine postpartum follow-up
Z00.00 | General adult medical examination
Z01.419 | Gynecological examination without abnormal findings
Z30.09 | Contraceptive counseling
Z23 | Immunization
Z68.41 | Body mass index 40.0-44.9, adult
I10 | Essential hypertension
I50.9 | Heart failure, unspecified
I51.9 | Heart disease, unspecified
I26.99 | Pulmonary embolism without acute cor pulmonale
I63.9 | Cerebral infarction, unspecified
J81.0 | Acute pulmonary edema
J96.01 | Acute respiratory failure with hypoxia
J44.9 | Chronic obstructive pulmonary disease
J45.909 | Asthma, uncomplicated
J06.9 | Acute upper respiratory infection
J18.9 | Pneumonia, unspecified organism
A41.9 | Sepsis, unspecified organism
D64.9 | Anemia, unspecified
D65 | Disseminated intravascular coagulation
D57.1 | Sickle-cell disease without crisis
D70.1 | Agranulocytosis secondary to cancer chemotherapy
D69.6 | Thrombocytopenia, unspecified
E03.9 | Hypothyroidism, unspecified
E11.9 | Type 2 diabetes without complications
E46 | Protein-calorie malnutrition, unspecified
E66.9 | Obesity, unspecified
E86.0 | Dehydration
F11.20 | Opioid dependence, uncomplicated
F17.210 | Nicotine dependence, cigarettes
F32.9 | Major depressive disorder, single episode, unspecified
F32.A | Depression, unspecified
F41.9 | Anxiety disorder, unspecified
G89.3 | Neoplasm related pain
K52.9 | Noninfective gastroenteritis
K59.00 | Constipation, unspecified
L98.9 | Disorder of skin, unspecified
M32.9 | Systemic lupus erythematosus, unspecified
M54.50 | Low back pain, unspecified
N17.9 | Acute kidney failure, unspecified
N18.3 | Chronic kidney disease, stage 3
N39.0 | Urinary tract infection, site not specified
R05.9 | Cough, unspecified
R06.02 | Shortness of breath
R07.9 | Chest pain, unspecified
R10.9 | Unspecified abdominal pain
R11.2 | Nausea with vomiting
R50.9 | Fever, unspecified
R51.9 | Headache, unspecified
R53.83 | Other fatigue
S93.401A | Sprain of ankle, initial encounter
Z21 | Asymptomatic human immunodeficiency virus infection
Z51.11 | Encounter for antineoplastic chemotherapy
Z51.5 | Encounter for palliative care
C18.9 | Malignant neoplasm of colon, unspecified
C25.9 | Malignant neoplasm of pancreas, unspecified
C34.90 | Malignant neoplasm of bronchus or lung, unspecified
C43.9 | Malignant melanoma of skin, unspecified
C50.911 | Malignant neoplasm of right female breast
C54.1 | Malignant neoplasm of endometrium
C56.9 | Malignant neoplasm of ovary, unspecified
C61 | Malignant neoplasm of prostate
C64.9 | Malignant neoplasm of kidney
C67.9 | Malignant neoplasm of bladder, unspecified
C78.7 | Secondary malignant neoplasm of liver
C79.51 | Secondary malignant neoplasm of bone
C85.90 | Non-Hodgkin lymphoma, unspecified
C91.10 | Chronic lymphocytic leukemia, not in remission
"""

OBSERVATIONS = """
Z55.9 | Problems related to education and literacy
Z56.0 | Unemployment, unspecified
Z59.00 | Homelessness, unspecified
Z59.41 | Food insecurity
Z59.6 | Low income
Z60.2 | Problems related to living alone
Z62.819 | Personal history of abuse in childhood
Z63.0 | Problems in relationship with spouse or partner
Z64.0 | Problems related to unwanted pregnancy
Z65.3 | Problems related to other legal circumstances
Z87.51 | Personal history of pre-term labor
Z98.891 | History of uterine scar from previous surgery
"""

AREA = """
ADI | Area deprivation index, national percentile 1-100
"""

PCS = """
10E0XZZ | Delivery of products of conception, external approach
10D00Z1 | Extraction of products of conception, low, open approach
30233N1 | Transfusion of nonautologous red blood cells, peripheral vein
0UT90ZZ | Resection of uterus, open approach
5A1935Z | Respiratory ventilation, less than 24 consecutive hours
"""

CPT = """
59400 | Routine obstetric care with vaginal delivery
59409 | Vaginal delivery only
59510 | Routine obstetric care with cesarean delivery
59514 | Cesarean delivery only
59425 | Antepartum care only, 4-6 visits
59426 | Antepartum care only, 7 or more visits
59430 | Postpartum care only
59812 | Treatment of incomplete abortion
59840 | Induced abortion by dilation and curettage
76801 | Obstetric ultrasound, first trimester
76805 | Obstetric ultrasound, after first trimester
76819 | Fetal biophysical profile
59025 | Fetal non-stress test
99213 | Office visit, established patient, low complexity
99214 | Office visit, established patient, moderate complexity
99283 | Emergency department visit, moderate severity
99284 | Emergency department visit, high severity
96413 | Chemotherapy infusion, up to one hour
77412 | Radiation treatment delivery
71260 | CT of chest with contrast
85025 | Complete blood count with differential
80053 | Comprehensive metabolic panel
"""

DRUGS = """
7417 | nifedipine
6185 | labetalol
6809 | metformin
5856 | insulin, regular, human
1191 | aspirin
36437 | sertraline
435 | albuterol
7804 | oxycodone
7052 | morphine
26225 | ondansetron
4511 | folic acid
90176 | iron
6585 | magnesium
7454 | nitrofurantoin
5640 | ibuprofen
1819 | buprenorphine
2555 | cisplatin
56946 | paclitaxel
3639 | doxorubicin
1547545 | pembrolizumab
4492 | fluorouracil
10324 | tamoxifen
3264 | dexamethasone
68442 | filgrastim
29046 | lisinopril
10582 | levothyroxine
"""

MEASUREMENTS = """
718-7 | Hemoglobin [Mass/volume] in Blood | g/dL
4544-3 | Hematocrit [Volume Fraction] of Blood | %
777-3 | Platelets [#/volume] in Blood by automated count | 10*3/uL
2160-0 | Creatinine [Mass/volume] in Serum or Plasma | mg/dL
1920-8 | Aspartate aminotransferase [Enzymatic activity/volume] | U/L
1742-6 | Alanine aminotransferase [Enzymatic activity/volume] | U/L
1751-7 | Albumin [Mass/volume] in Serum or Plasma | g/dL
1975-2 | Bilirubin.total [Mass/volume] in Serum or Plasma | mg/dL
2345-7 | Glucose [Mass/volume] in Serum or Plasma | mg/dL
4548-4 | Hemoglobin A1c/Hemoglobin.total in Blood | %
2888-6 | Protein [Mass/volume] in Urine | mg/dL
8480-6 | Systolic blood pressure | mm[Hg]
8462-4 | Diastolic blood pressure | mm[Hg]
29463-7 | Body weight | kg
26515-7 | Platelets [#/volume] in Blood | 10*3/uL
30350-3 | Hemoglobin [Mass/volume] in Venous blood | g/dL
"""

ROUTINE_CONDITIONS = """
O09.41 | Supervision of pregnancy with grand multiparity, first trimester
O09.42 | Supervision of pregnancy with grand multiparity, second trimester
O09.43 | Supervision of pregnancy with grand multiparity, third trimester
O35.8XX0 | Maternal care for other fetal abnormality and damage
O40.3XX0 | Polyhydramnios, third trimester
O41.03X0 | Oligohydramnios, third trimester
O42.90 | Premature rupture of membranes, unspecified
O9A.313 | Physical abuse complicating pregnancy, third trimester
K50.90 | Crohn disease, unspecified
K74.60 | Cirrhosis of liver, unspecified
G40.909 | Epilepsy, unspecified, not intractable
I25.10 | Atherosclerotic heart disease of native coronary artery
I27.0 | Primary pulmonary hypertension
I48.91 | Atrial fibrillation, unspecified
C10.9 | Malignant neoplasm of oropharynx, unspecified
C16.9 | Malignant neoplasm of stomach, unspecified
C22.0 | Liver cell carcinoma
C71.9 | Malignant neoplasm of brain, unspecified
C90.00 | Multiple myeloma not having achieved remission
"""

ROUTINE_OBSERVATIONS = """
Z57.9 | Occupational exposure to unspecified risk factor
Z58.6 | Inadequate drinking-water supply
"""

ROUTINE_CPT = """
32555 | Thoracentesis with imaging guidance
36561 | Insertion of tunneled central venous port
43235 | Upper gastrointestinal endoscopy, diagnostic
45378 | Colonoscopy, diagnostic
49083 | Abdominal paracentesis with imaging guidance
59000 | Amniocentesis, diagnostic
59320 | Cerclage of cervix, vaginal
70551 | MRI of brain without contrast
70553 | MRI of brain without and with contrast
71046 | Chest X-ray, two views
76817 | Transvaginal obstetric ultrasound
76820 | Doppler velocimetry, umbilical artery
76825 | Fetal echocardiography
77067 | Screening mammography
78815 | PET with CT
81002 | Urinalysis without microscopy
82950 | Glucose, post-dose
82951 | Glucose tolerance test, three specimens
86850 | Antibody screen, red blood cells
86900 | Blood typing, ABO
87086 | Urine culture, quantitative
87653 | Group B streptococcus, amplified probe
90384 | Rho(D) immune globulin, full dose
90686 | Influenza vaccine, quadrivalent
90715 | Tetanus, diphtheria and pertussis vaccine
90834 | Psychotherapy, 45 minutes
93000 | Electrocardiogram, complete
93306 | Transthoracic echocardiography
96127 | Brief emotional or behavioral assessment
96360 | Intravenous hydration, first hour
96372 | Therapeutic injection
97110 | Therapeutic exercise
97802 | Medical nutrition therapy, initial
97803 | Medical nutrition therapy, follow-up
99291 | Critical care, first 30 to 74 minutes
99406 | Smoking cessation counseling
99408 | Alcohol or substance abuse screening and intervention
99497 | Advance care planning
"""

ROUTINE_HCPCS = """
G0108 | Diabetes self-management training
G0299 | Direct skilled nursing at home
J0897 | Injection, denosumab
J1100 | Injection, dexamethasone
J1756 | Injection, iron sucrose
J2405 | Injection, ondansetron
"""

ROUTINE_DRUGS = """
11289 | warfarin
121191 | rituximab
197591 | diazepam 5 MG Oral Tablet
28439 | lamotrigine
283742 | esomeprazole
301542 | rosuvastatin
310798 | hydrochlorothiazide 25 MG Oral Tablet
32968 | clopidogrel
35636 | risperidone
4815 | glyburide
50121 | fluticasone propionate
6835 | methimazole
"""

ROUTINE_MEASUREMENTS = """
6690-2 | Leukocytes [#/volume] in Blood by automated count | 10*3/uL
8867-4 | Heart rate | /min
9279-1 | Respiratory rate | /min
8310-5 | Body temperature | Cel
59408-5 | Oxygen saturation in arterial blood by pulse oximetry | %
39156-5 | Body mass index | kg/m2
"""

KNOWN_CONCEPTS = (
    (9201, "Visit", "IP", "Inpatient Visit", "Visit"),
    (9202, "Visit", "OP", "Outpatient Visit", "Visit"),
    (9203, "Visit", "ER", "Emergency Room Visit", "Visit"),
    (262, "Visit", "ERIP", "Emergency Room and Inpatient Visit", "Visit"),
    (581477, "CMS Place of Service", "11", "Office Visit", "Visit"),
    (5083, "CMS Place of Service", "02", "Telehealth", "Visit"),
    (32036, "CMS Place of Service", "81", "Laboratory Visit", "Visit"),
    (8507, "Gender", "M", "MALE", "Gender"),
    (8532, "Gender", "F", "FEMALE", "Gender"),
    (8527, "Race", "5", "White", "Race"),
    (8516, "Race", "3", "Black or African American", "Race"),
    (8515, "Race", "2", "Asian", "Race"),
    (8657, "Race", "1", "American Indian or Alaska Native", "Race"),
    (8557, "Race", "4", "Native Hawaiian or Other Pacific Islander", "Race"),
    (38003563, "Ethnicity", "Hispanic", "Hispanic or Latino", "Ethnicity"),
    (38003564, "Ethnicity", "Not Hispanic", "Not Hispanic or Latino", "Ethnicity"),
    (32810, "Type Concept", "OMOP4976891", "Claim", "Type Concept"),
    (32817, "Type Concept", "OMOP4976890", "EHR", "Type Concept"),
    (8713, "UCUM", "g/dL", "gram per deciliter", "Unit"),
    (8636, "UCUM", "g/L", "gram per liter", "Unit"),
    (8749, "UCUM", "umol/L", "micromole per liter", "Unit"),
    (8554, "UCUM", "%", "percent", "Unit"),
    (8848, "UCUM", "10*3/uL", "thousand per microliter", "Unit"),
    (8840, "UCUM", "mg/dL", "milligram per deciliter", "Unit"),
    (8645, "UCUM", "U/L", "unit per liter", "Unit"),
    (8876, "UCUM", "mm[Hg]", "millimeter mercury column", "Unit"),
    (9529, "UCUM", "kg", "kilogram", "Unit"),
    (8541, "UCUM", "/min", "per minute", "Unit"),
    (586323, "UCUM", "Cel", "degree Celsius", "Unit"),
    (9531, "UCUM", "kg/m2", "kilogram per square meter", "Unit"),
)
