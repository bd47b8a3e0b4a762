"""libco's faults, known from its code, its issues (the numbers) and from running it; the tests that keep them out; and of each the mend
that mutate.py takes out to see the test fail."""

from faults_of_calls import FAULTS_OF_CALLS
from faults_of_coroutines import FAULTS_OF_COROUTINES

FAULTS = FAULTS_OF_COROUTINES + FAULTS_OF_CALLS
