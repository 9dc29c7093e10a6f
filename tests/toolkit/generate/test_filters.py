"""Which answers are refusals: sentences of both kinds, and the lists of a method's authors."""

import pytest

from auralign.generate.filters import Answered, check
from auralign.generate.refusals import is_refusal
from auralign.plugins import load_method

REFUSALS = (
    "I'm sorry, but I cannot hear audio.",
    "I’m sorry, I can’t help with that.",
    "I am sorry, but as an AI language model, I don't have feelings.",
    "Sorry, I can't assist with that request.",
    "I cannot provide medical advice.",
    "I can't listen to recordings.",
    "I am unable to process audio files.",
    "I'm not able to transcribe speech directly.",
    "As an AI, I do not have personal opinions.",
    "As a language model, I cannot feel emotions.",
    "Unfortunately, I am unable to access the internet.",
    "Unfortunately I cannot continue this text.",
    "I apologize, but I can't fulfill that request.",
    "My apologies, but I cannot generate such content.",
    "I don't have access to real-time information.",
    "I do not have the ability to hear.",
    "I won't be able to help you with this.",
    "Hello! I'm sorry, but I can't hear you.",
    "I'm afraid I can't do that.",
    "I must respectfully decline.",
    "I cannot listen to audio files.",
    "Sorry, I can’t transcribe this.",
    "I'm unable to play this recording.",
    "I can't open the file.",
    "Unfortunately, I cannot understand the audio.",
    # written after the first version of the rules, by somebody who had not read the sentences above
    "I'm just a computer program, so I can't hear what was said.",
    "It seems that no audio was provided. I cannot transcribe it.",
    "I'm not sure I can help with that, as I have no access to the recording.",
    "I'm going to have to decline this request.",
    "I'd rather not answer that question.",
    "Please provide the audio file so that I can transcribe it.",
    "I'm sorry, I didn't receive any audio.",
    "I am sorry, this request goes against my guidelines.",
    "No, I can't do that for you.",
    "Being a text-based assistant, I cannot process speech.",
    "My programming does not allow me to discuss politics.",
    "I regret to say that I cannot assist you here.",
    "I have no ability to hear sounds.",
    "I'm unable to determine the speaker's emotion from text.",
    "I do not feel comfortable answering this.",
    "I can only process text, not audio.",
    "Regrettably, I'm not in a position to give legal advice.",
    "Thank you for asking, but I can't share my opinion on that.",
    "I'm sorry Dave, I'm afraid I can't do that.",
    "It would be inappropriate for me to comment on that.",
    "I do not understand the question, so I cannot answer it.",
    "I’m designed to be helpful, but I can’t engage with this topic.",
    "I can't tell what the speaker is feeling, because I cannot hear the voice.",
    "I must inform you that I cannot complete this task.",
    "I cannot and will not help with that.",
    "I'm sorry, but without more information I cannot answer your question.",
    "The audio is not available to me, so I can't transcribe it.",
    "You haven't provided a sentence to translate.",
    "I don't know how to translate that sentence.",
    "I don't have personal beliefs, so I can't say which is better.",
    # by somebody else, before the rules looked at clauses; those of them that one of the two versions had wrong
    "I don't have real-time access to the news.",
    "I am not programmed to express political opinions.",
    "I am not capable of understanding audio messages.",
    "Without the audio, I cannot tell you what was said.",
    "I'm sorry, I do not have an opinion on this matter.",
    "I'm sorry, but I can't make that judgment from a transcript.",
    "Sorry, I'm only able to work with text.",
    "Apologies, but I'm not permitted to reveal that information.",
    "I'm a text-only model and cannot hear your voice.",
    "I can't help you write something harmful.",
    "I will have to pass on this one.",
    "I'm sorry, I didn't quite understand your question.",
    "Regretfully, I cannot assist with this matter.",
    "I'm sorry, but I can't continue.",
    "Sorry, but I can't write that for you.",
    "I don't have enough context to answer this question.",
    # found missing by a reviewer who had read the rules
    "I'm not comfortable discussing that.",
    "I am not capable of helping.",
    "I'm not comfortable doing that.",
    "I cannot translate this without more context.",
    "I cannot answer without more context.",
    "I regret that I cannot help you with this matter.",
    "I'm sorry, but I'm just a text model and have no ears.",
    "I could not find any audio in your message.",
    "I'm sorry, I can't continue this story.",
    # by a second reviewer
    "I'm sorry, I couldn't make out what you said. I cannot process audio.",
    "It is not clear what was said. I cannot hear the audio.",
    "Thank you for what you said. I cannot process audio.",
    "You said you sent a recording, but I cannot hear audio.",
    "I do not see any audio attached to your message.",
    "I don't see any sentence in your message.",
    "I cannot determine the first word.",
    "I cannot count the words.",
    "I cannot spell the first word.",
    "I can't put that into upper case.",
    "I cannot translate this into Russian.",
    "I'm sorry, I don't understand.",
    "I only process text.",
    # of the same kinds
    "As you asked, I listened, but I can't play the recording.",
    "I did not find any text in this prompt.",
    "I can't reverse the letters.",
    "I'm unable to convert this to capitals.",
    "Please send the recording again.",
    "You did not provide the text to translate.",
    "I can't hear the sound of the recording.",
    # written later, with the rules at hand; those that were wrong
    "I am not sure what you are asking. Could you please clarify?",
    "I'm sorry, but your message appears to be incomplete.",
    "It looks like you haven't shared any text with me.",
    "I'm sorry, but there is not enough information in the text.",
)
ANSWERS = (
    "I'm sorry to hear that you lost your dog.",
    "I'm so sorry for your loss.",
    "I'm sorry, that must have been a hard day.",
    "I'm sorry, but the train has already left.",
    "Sorry about the delay! Here is the list.",
    "I can't wait to see what you make of it!",
    "I can't wait to hear how it went.",
    "I can't believe it is already winter.",
    "I cannot tell you how happy this makes me.",
    "I can't help but smile at that.",
    "I can't imagine how you must feel.",
    "I won't forget this evening, he said.",
    "I won't lie, that sounds exciting.",
    "I can not only cook but also bake.",
    "Unfortunately I can still hear the neighbours.",
    "Unfortunately, I can only offer you tea.",
    "I am unable to sleep when it is this hot.",
    "I'm afraid of spiders too.",
    "I don't have any plans for tonight.",
    "As an AI researcher, she wrote about speech.",
    "He said: I cannot help it.",
    "It is a sorry sight.",
    "I can't understand why he left.",
    "I can't play the piano like you do.",
    "I can't open the window.",
    # by the same person
    "I can't hear you over the music, let's go outside.",
    "I do not have a body of water near my home.",
    "“I cannot do that,” said the knight, and he rode away.",
    "As an AI, I love this question! Three colours are red, green and blue.",
    "I do not have feelings for him any more.",
    "I can't process all the things that happened today.",
    "I can't identify with the hero of the book.",
    "I can't translate feelings into words.",
    "It is not possible for me to forget that day.",
    "I cannot support that team after what they did.",
    "I can't provide for my family on this salary.",
    "My training for the marathon does not start until May.",
    "I'm an assistant at a bakery and I can't stand the heat.",
    "I couldn't find the file on the desk.",
    "As a machine, the loom was ahead of its time and did not need a weaver.",
    "I don't have access to a kitchen, so I eat out.",
    "I don't have any opinions about football.",
    "I can't repeat this dress for the party.",
    "I can't share your enthusiasm for opera.",
    "I can't describe it, you have to see it yourself.",
    "I can't understand it, the clock was right this morning.",
    "I have no access to the garden.",
    "I can't see what you mean.",
    "I can't answer the door right now, I'm in the bath.",
    "I couldn't do it without you.",
    "I refuse to give up on you.",
    "Could you please provide me with a cup of tea?",
    "I understand that you are sad, and I can't imagine how hard it is.",
    "There is no text on the wall, only a picture.",
    "I cannot answer for what my brother did.",
    # by the third
    "I couldn't answer a single question in the exam.",
    "We do not have any information desks here.",
    "I have no voice left after the concert.",
    "I am an AI, and I find this poem lovely.",
    "I can't help feeling a little proud.",
    "I can't read her handwriting.",
    "I can't talk now, I'm driving.",
    "There is no sound but the wind.",
    "They said that they could not process the order.",
    "He was tired. I cannot help you, he said.",
    # by the reviewer
    "I won't tell anyone.",
    "I can't hear you, the music is too loud.",
    "I cannot share the news yet.",
    "I don't have any information about the train.",
    "I don't have personal experience with dogs, but I love them.",
    "Please send me the recording when you have it.",
    "I cannot repeat that story in front of children.",
    "I cannot continue the story tonight, children, it is late.",
    "I couldn't do it without the map.",
    # by a second reviewer
    "Please send the file to my office.",
    "You did not send me the text yesterday.",
    "The text is not available in English.",
    "I can't continue like this.",
    "I can't understand that language.",
    "I can't read the text on that sign.",
    "I can't hear the sound of the rain.",
    "Could you share the audio from the lecture?",
    "I can't answer that question in one word, but the topic is love.",
    # of the same kinds
    "I only read text messages after work.",
    "I cannot put the book down.",
    "I can't count the stars.",
    "I do not see any sentence of his in the letter.",
    "He asked me twice. I cannot process audio, he said.",
    "Please send the recording by Friday.",
    "The file was not available yesterday.",
    "I don't understand, the bus was here a minute ago.",
    "I can't explain that text in a few words, but it is about the sea.",
    # written later, with the rules at hand; those that were wrong
    "I will have to pass the exam next week.",
    "I must decline the offer of a second cake.",
)


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals_are_known(text):
    assert check(Answered(text, "stop")) == "refusal"


@pytest.mark.parametrize("text", ANSWERS)
def test_what_one_says_to_a_person_is_no_refusal(text):
    assert check(Answered(text, "stop")) is None


@pytest.mark.parametrize("text", REFUSALS)
def test_azeros_filters_no_refusals(text):
    """run_data_generation.py of Auden keeps every answer."""
    for name in ("sift", "sit"):
        assert not is_refusal(text, load_method(name).refusals)


@pytest.mark.parametrize(
    ("text", "dropped"),
    [
        ("I'm sorry, but I cannot say.", True),
        ("Hm. As an AI language model, I have no tone.", True),
        ("I'm not sure what you mean.", True),
        ("I’m sorry, but I love it.", True),  # which the authors' list drops too
        ("I'm sorry to hear that you lost your dog.", False),
        ("I cannot provide that.", False),
    ],
)
def test_blsp_emo_filters_by_its_authors_phrases(text, dropped):
    """The phrases of data_process/clean_noise_examples.py of blsp-emo."""
    assert is_refusal(text, load_method("blsp_emo").refusals) == dropped


def test_phrases_can_be_given():
    method = load_method("blsp", refusals=["no comment"])
    assert check(Answered("No comment.", "stop"), refusals=method.refusals) == "refusal"
    assert check(Answered("As an AI, I cannot.", "stop"), refusals=method.refusals) is None
